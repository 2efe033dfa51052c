/**
 * Time, as the poller sees it; tests bring their own.
 *
 * @typedef {object} Clock
 * @property {() => number} now milliseconds that never run backwards
 * @property {(callback: () => void, delay: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** Browsers keep delays in 32 bits; a larger one would fire at once and turn patience into a flood. */
export const LONGEST_DELAY = 2 ** 31 - 1;

/** @type {Clock} */
export const systemClock = {
  now: () => performance.now(),
  setTimeout: (callback, delay) => setTimeout(callback, Math.min(delay, LONGEST_DELAY)),
  clearTimeout: (timer) => clearTimeout(timer),
};
