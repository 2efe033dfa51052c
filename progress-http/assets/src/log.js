/** @import { ProgressPoller } from './poller.js' */
import { parseJson } from './record.js';
import { request } from './request.js';
import { belongingUrl } from './urls.js';

/** @typedef {{ at?: any, level?: any, item?: any, message?: any }} LogEntry */

/** Entries per request: enough for a quick job, and few enough to be drawn at once. */
const PAGE = 100;

/** Attempts in a row. The log is optional: if it cannot be read, the bar continues without it. */
const ATTEMPTS = 3;

/**
 * Reads the new entries of the job's log whenever the record has changed.
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
    const { text } = await request(
      options,
      belongingUrl(poller.url, 'log', { after, limit: PAGE }),
    );
    const { entries, next_after: next, dropped } = parseJson(text, (data) =>
      Array.isArray(data.entries),
    );
    if (signal.aborted || !(next > after)) return;
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
        await new Promise((/** @type {any} */ resolve) =>
          options.clock.setTimeout(resolve, options.backoffBase),
        );
      }
    }
    reading = false;
  };

  poller.addEventListener('progress', read, { signal });
  if (poller.snapshot) read();
}
