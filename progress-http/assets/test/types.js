// Not run: `npm run check` compares the public declarations with the implementation.
import * as implementation from '../src/entry-module.js';
import * as list from '../src/list/entry.js';
import * as news from '../src/news.js';
import * as poller from '../src/entry-poller.js';

/** @type {typeof import('../src/progress-polling.js')} */
export const declared = implementation;

/** @type {typeof import('../src/progress-poller.js')} */
export const declaredPoller = poller;

/** @type {typeof import('../src/progress-list.js')} */
export const declaredList = list;

/** @type {typeof import('../src/progress-news.js')} */
export const declaredNews = news;
