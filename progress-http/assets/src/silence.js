/** @import { Clock } from './clock.js' */
/** @import { JobRecord } from './record.js' */

/** A record counts as stale after this many seconds without a sign of its worker. */
const BEFORE_STALE = 15;

/**
 * For how long a job has been silent. Counted from the moment it was first seen so, on this page's own clock: the
 * times in the record are those of another machine.
 */
export class SilenceWatch {
  #clock;
  /** @type {number | null} */
  #since = null;
  #atLeast = false;
  #seenAlive = false;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /**
   * @param {JobRecord | null} record
   * @returns {{ seconds: number, atLeast: boolean } | null} `atLeast` when the silence began before this page came
   */
  of(record) {
    if (!record?.stale) {
      this.#seenAlive ||= record !== null;
      this.#since = null;
      return null;
    }
    if (this.#since === null) {
      this.#since = this.#clock.now();
      this.#atLeast = !this.#seenAlive;
    }
    return { seconds: BEFORE_STALE + Math.floor((this.#clock.now() - this.#since) / 1000), atLeast: this.#atLeast };
  }
}
