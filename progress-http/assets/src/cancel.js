/** @import { ProgressPoller } from './poller.js' */
/** @import { PollError } from './errors.js' */
import { exchange } from './exchange.js';
import { belongingUrl } from './urls.js';

/** What the server says when the job has ended already: nothing to cancel, and nothing wrong. */
const CONFLICT = 409;

/**
 * Asks the server to cancel the job, and then for its state. Rejects with a `PollError` when the wish did not arrive.
 *
 * @param {ProgressPoller} poller
 */
export async function cancelJob(poller) {
  try {
    await exchange(poller.options, belongingUrl(poller.url, 'cancel'), { method: 'POST' });
  } catch (error) {
    if (/** @type {PollError} */ (error).status !== CONFLICT) throw error;
  }
  poller.refresh();
}
