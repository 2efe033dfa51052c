// Not run: `npm run check` compares what is declared to users with what is implemented.
import * as implementation from '../src/entry-module.js';

/** @type {typeof import('../src/progress-polling.js')} */
export const declared = implementation;
