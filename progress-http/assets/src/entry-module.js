import { defineElement } from './element.js';
import { loadedFrom } from './origin.js';

export { ProgressPollerElement } from './element.js';
export { ProgressPoller } from './poller.js';
export { ProgressPolling } from './widget.js';

loadedFrom(import.meta.url);
defineElement();
