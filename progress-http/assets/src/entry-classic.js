import { defineElement } from './element.js';
import { loadedFrom } from './origin.js';
import { ProgressPoller } from './poller.js';
import { ProgressPolling } from './widget.js';

loadedFrom(/** @type {HTMLScriptElement | null} */ (document.currentScript)?.src);
// One global name is enough; what else there is hangs on it.
/** @type {any} */ (window).ProgressPolling = Object.assign(ProgressPolling, { ProgressPoller });
defineElement();
