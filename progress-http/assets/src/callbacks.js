/** @import { ProgressPoller } from './poller.js' */
/** @import { ProgressCallback, ProgressCallbacks } from './progress-polling.js' */

/** The poller's event, and the option that hears of it. @type {[string, keyof ProgressCallbacks][]} */
const CALLBACKS = [
  ['start', 'onStart'],
  ['progress', 'onProgress'],
  ['complete', 'onComplete'],
  ['error', 'onError'],
  ['retry', 'onRetry'],
  ['cancelled', 'onCancelled'],
  ['settled', 'onSettled'],
];

/**
 * Calls the page's callbacks, and tells `onEvent` of the same events after each.
 *
 * @param {ProgressPoller} poller
 * @param {ProgressCallbacks} callbacks
 * @param {(type: string, detail: { data: any, meta: any }) => void} onEvent
 * @param {AbortSignal} signal
 */
export function connectCallbacks(poller, callbacks, onEvent, signal) {
  for (const [type, name] of CALLBACKS) {
    const listener = (/** @type {Event} */ event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      try {
        /** @type {ProgressCallback | undefined} */ (callbacks[name])?.(detail.data, detail.meta);
      } catch (error) {
        report(error);
      }
      onEvent(type, detail);
    };
    poller.addEventListener(type, listener, { signal });
  }
}

/**
 * A mistake in the page's callback is shown where the page's mistakes are shown, and harms nothing else.
 *
 * @param {unknown} error
 */
function report(error) {
  if (typeof reportError === 'function') reportError(error);
  else console.error(error);
}
