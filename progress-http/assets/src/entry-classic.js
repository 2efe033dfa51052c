import { defineElement } from './element.js';
import { loadedFrom } from './origin.js';
import { ProgressPoller } from './poller.js';
import { ProgressPolling } from './widget.js';

loadedFrom(/** @type {HTMLScriptElement | null} */ (document.currentScript)?.src);
// The only global name; everything else is a property of it.
/** @type {any} */ (window).ProgressPolling = Object.assign(ProgressPolling, { ProgressPoller });
defineElement();
