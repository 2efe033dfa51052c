/**
 * The poller's clock and timers; tests replace it.
 *
 * @typedef {object} Clock
 * @property {() => number} now monotonic, in milliseconds
 * @property {(callback: () => void, delay: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** Browsers keep delays in 32 bits: a longer one would fire at once and flood the server. */
export const LONGEST_DELAY = 2 ** 31 - 1;

/** @type {Clock} */
export const systemClock = {
  now: () => performance.now(),
  setTimeout: (callback, delay) => setTimeout(callback, Math.min(delay, LONGEST_DELAY)),
  clearTimeout: (timer) => clearTimeout(timer),
};
