/** @import { ProgressPoller } from './poller.js' */

/**
 * Tells the poller what becomes of its page: hidden, offline, left, restored.
 *
 * @param {ProgressPoller} poller
 * @param {'slow' | 'pause' | 'continue'} whenHidden
 * @param {AbortSignal} signal
 */
export function followPage(poller, whenHidden, signal) {
  const look = (/** @type {{ type?: string }} */ { type = '' }) => {
    const { hidden } = document;
    poller.hidden = hidden && whenHidden === 'slow';
    // An open request would keep the page out of the back-forward cache.
    if (type.startsWith('page')) poller.hold('left', type === 'pagehide');
    poller.hold('offline', !navigator.onLine);
    poller.hold('hidden', hidden && whenHidden === 'pause');
    if (!hidden) poller.refresh();
  };
  for (const type of ['visibilitychange', 'online', 'offline', 'pagehide', 'pageshow'])
    addEventListener(type, look, { signal });
  look({});
}

/**
 * Where to go when the job is complete.
 *
 * @param {{ reloadOnComplete?: boolean, redirectOnComplete?: string | false }} options
 */
export function leavePage({ reloadOnComplete, redirectOnComplete }) {
  if (redirectOnComplete) {
    // A link takes any text for an address, also what is none.
    const link = document.createElement('a');
    link.href = redirectOnComplete;
    // The address may come from an attribute, and an attribute from data: it must not be able to run a script.
    if (link.protocol.startsWith('http')) location.assign(/** @type {any} */ (link));
  } else if (reloadOnComplete) location.reload();
}
