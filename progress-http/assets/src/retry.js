/** @import { PollErrorKind, PollError } from './errors.js' */

/** A proxy's error page in place of a record is either passing or permanent; two more looks tell which. */
const UNREADABLE_RETRIES = 2;

/**
 * Counts failures in a row and says how long to wait after each, or that it is time to give up.
 */
export class RetryPolicy {
  #options;
  /** @type {Map<PollErrorKind, number>} kinds are counted apart: a restart must not use up the patience for a 404 */
  #counts = new Map();
  #failures = 0;

  /**
   * @param {{ maxRetries: number, notFoundRetries: number, backoffBase: number, backoffMax: number }} options
   */
  constructor(options) {
    this.#options = options;
  }

  reset() {
    this.#counts.clear();
    this.#failures = 0;
  }

  /**
   * @param {PollError} error
   * @param {number} jitter 0 to 1
   * @returns {number} milliseconds until the next attempt, or `Infinity` to give up
   */
  after(error, jitter) {
    const count = (this.#counts.get(error.kind) ?? 0) + 1;
    this.#counts.set(error.kind, count);
    this.#failures += 1;
    if (count > this.#limit(error.kind)) return Infinity;
    const { backoffBase, backoffMax } = this.#options;
    const ceiling = Math.min(backoffMax, backoffBase * 2 ** (this.#failures - 1));
    // Jitter keeps a thousand pages that lost the same server from coming back in the same millisecond.
    return Math.max(ceiling * (0.5 + jitter / 2), error.retryAfter);
  }

  /** @param {PollErrorKind} kind */
  #limit(kind) {
    const { maxRetries, notFoundRetries } = this.#options;
    /** @type {Partial<Record<PollErrorKind, number>>} */
    const limits = { refused: 0, gone: 0, 'not-found': notFoundRetries, unreadable: UNREADABLE_RETRIES };
    return limits[kind] ?? maxRetries;
  }
}
