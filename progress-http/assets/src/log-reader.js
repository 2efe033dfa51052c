/** @import { ProgressPoller } from './poller.js' */
import { exchange } from './exchange.js';
import { parseData } from './record.js';
import { belongingUrl } from './urls.js';

/** @typedef {{ seq?: number, at?: string, level?: string, item?: string, message?: string }} LogEntry */

/** Entries per request: enough for a quick job, small enough to be drawn at once. */
const PAGE = 100;

/** A log is a help, not the state; when it cannot be had, the bar goes on without. */
const ATTEMPTS = 3;

/**
 * Reads the entries of a job that are not known yet, whenever its record has changed. An `entries` event brings them.
 */
export class LogReader extends EventTarget {
  #poller;
  #after = 0;
  #reading = false;
  #again = false;
  #controller = new AbortController();

  /** @param {ProgressPoller} poller */
  constructor(poller) {
    super();
    this.#poller = poller;
    poller.addEventListener('progress', () => this.#read(), { signal: this.#controller.signal });
  }

  /** Tells of all the entries once more, from the next change of the record on. */
  restart() {
    this.#after = 0;
  }

  stop() {
    this.#controller.abort();
  }

  async #read() {
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    for (let failures = 0; this.#again && failures < ATTEMPTS && !this.#controller.signal.aborted;) {
      this.#again = false;
      try {
        if (await this.#readPage()) this.#again = true;
        failures = 0;
      } catch {
        this.#again = true;
        failures += 1;
        await this.#pause();
      }
    }
    this.#reading = false;
  }

  /** @returns {Promise<boolean>} whether there may be more */
  async #readPage() {
    const url = belongingUrl(this.#poller.url, 'log', { after: this.#after, limit: PAGE });
    const { text } = await exchange(this.#poller.options, url);
    const { entries, next_after: next, dropped } = parseData(text);
    if (this.#controller.signal.aborted || !Array.isArray(entries) || !entries.length) return false;
    const advanced = typeof next === 'number' && next > this.#after;
    if (!advanced) return false;
    this.#after = next;
    this.dispatchEvent(new CustomEvent('entries', { detail: { entries, dropped } }));
    return entries.length >= PAGE;
  }

  #pause() {
    const { clock, backoffBase } = this.#poller.options;
    return new Promise((resolve) => clock.setTimeout(() => resolve(undefined), backoffBase));
  }
}
