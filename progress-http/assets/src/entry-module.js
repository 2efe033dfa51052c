import { defineElement } from './element.js';
import { loadedFrom } from './origin.js';

export { ProgressPollerElement } from './element.js';
export * from './shared.js';

loadedFrom(import.meta.url);
defineElement();
