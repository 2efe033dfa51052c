/** @import { ProgressPoller } from './poller.js' */

/**
 * Pauses, slows down or resumes the poller as its page is hidden, left or restored. Whether the
 * browser is offline is only a hint, so the poller tries all the same.
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
    if (type.startsWith('page')) poller._hold('left', type === 'pagehide');
    poller.offline = !navigator.onLine;
    poller._hold('hidden', hidden && whenHidden === 'pause');
    // Also when the page becomes hidden: a poll replaces the request that waits, which would occupy
    // one of the six connections that a browser opens to a server of HTTP/1.1.
    poller.refresh();
  };
  for (const type of ['visibilitychange', 'online', 'offline', 'pagehide', 'pageshow'])
    addEventListener(type, look, { signal });
  look({});
}

/**
 * Redirects or reloads the page after the job has completed, if the options ask for it.
 *
 * @param {{ reloadOnComplete?: boolean, redirectOnComplete?: string | false }} options
 */
export function leavePage({ reloadOnComplete, redirectOnComplete }) {
  if (redirectOnComplete) {
    // A link accepts an invalid URL without throwing.
    const link = document.createElement('a');
    link.href = redirectOnComplete;
    // The URL may come from untrusted data, through an attribute: it must not run a script.
    if (link.protocol.startsWith('http')) location.assign(/** @type {any} */ (link));
  } else if (reloadOnComplete) location.reload();
}
