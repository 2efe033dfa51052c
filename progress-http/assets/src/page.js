/** @import { ProgressPoller } from './poller.js' */

/**
 * Tells the poller what becomes of its page: hidden, offline, left, restored.
 *
 * @param {ProgressPoller} poller
 * @param {'slow' | 'pause' | 'continue'} whenHidden
 * @param {AbortSignal} signal
 */
export function followPage(poller, whenHidden, signal) {
  const visibility = () => {
    if (whenHidden === 'pause') hold('hidden', document.hidden);
    else if (whenHidden === 'slow') poller.hidden = document.hidden;
    if (!document.hidden) poller.refresh();
  };
  const connectivity = () => hold('offline', !navigator.onLine);
  const hold = (/** @type {string} */ reason, /** @type {boolean} */ holds) => {
    if (holds) poller.hold(reason);
    else poller.release(reason);
  };

  document.addEventListener('visibilitychange', visibility, { signal });
  addEventListener('online', connectivity, { signal });
  addEventListener('offline', connectivity, { signal });
  // An open request would keep the page out of the back-forward cache.
  addEventListener('pagehide', () => hold('left', true), { signal });
  addEventListener('pageshow', () => hold('left', false), { signal });
  visibility();
  connectivity();
}
