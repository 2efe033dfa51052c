/** @import { ProgressPoller } from './poller.js' */
import { exchange } from './exchange.js';
import { parseData } from './record.js';
import { belongingUrl } from './urls.js';

/** @typedef {{ at?: any, level?: any, item?: any, message?: any }} LogEntry */

/** Entries per request: enough for a quick job, small enough to be drawn at once. */
const PAGE = 100;

/** A log is a help, not the state; when it cannot be had, the bar goes on without. */
const ATTEMPTS = 3;

/**
 * Reads the entries of a job that are not known yet, whenever its record has changed.
 *
 * @param {ProgressPoller} poller
 * @param {(entries: LogEntry[], dropped: unknown) => void} append
 * @param {AbortSignal} signal
 */
export function followLog(poller, append, signal) {
  const { options } = poller;
  let after = 0;
  let reading = false;
  let again = false;

  const readPage = async () => {
    const { text } = await exchange(options, belongingUrl(poller.url, 'log', { after, limit: PAGE }));
    const { entries, next_after: next, dropped } = parseData(text);
    if (signal.aborted || !Array.isArray(entries) || !(next > after)) return;
    after = next;
    append(entries, dropped);
    again ||= entries.length >= PAGE;
  };
  const read = async () => {
    again = true;
    if (reading) return;
    reading = true;
    for (let failures = 0; again && failures < ATTEMPTS && !signal.aborted;) {
      again = false;
      try {
        await readPage();
        failures = 0;
      } catch {
        again = true;
        failures += 1;
        await new Promise((/** @type {any} */ resolve) => options.clock.setTimeout(resolve, options.backoffBase));
      }
    }
    reading = false;
  };

  poller.addEventListener('progress', read, { signal });
  if (poller.snapshot) read();
}
