/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressData } from './progress-polling.js' */
/** @import { Translator } from './translator.js' */
/** @import { Cancellation } from './view.js' */
import { viewOf } from './view.js';

// What `progress-list.js` uses of the widget. It imports `progress-polling.mjs` when it runs, so
// that a page loads this code once. Apart from the classes, none of it is part of the API. No name
// that the build shortens may be used here from outside.

export { optionsFrom, pollerOptions } from './options.js';
export { defaultEndpoint } from './origin.js';
export { followPage } from './page.js';
export { storedJob } from './persistence.js';
export { ProgressPoller } from './poller.js';
export { isRecord } from './record.js';
export { request } from './request.js';
export { ensureStyles } from './stylesheet.js';
export { translator, withCapital } from './translator.js';
export { belongingUrl, statusUrl } from './urls.js';
export { ProgressPolling } from './widget.js';

/**
 * Returns what a record shows, as the widget shows it.
 *
 * @param {ProgressData} snapshot
 * @param {Translator} translator
 * @param {Cancellation} cancellation
 */
export function viewOfRecord(snapshot, translator, cancellation) {
  const poller = { snapshot, _phase: /** @type {const} */ ('live'), error: null, _due: 0 };
  // At least this long; only a page that follows the record knows more.
  const least = Number(snapshot.stale_after_ms) / 1000 || 0;
  const silence = snapshot.stale === true && `≥ ${translator.duration(least)}`;
  return viewOf({ ...poller, offline: false }, translator, 0, silence, cancellation);
}

/**
 * Returns what the connection of a poller shows.
 *
 * @param {ProgressPoller} poller
 * @param {Translator} translator
 */
export function viewOfConnection(poller, translator) {
  return viewOf(poller, translator, poller.options.clock.now(), false, undefined);
}
