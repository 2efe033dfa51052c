/** @import { ProgressData } from './progress-polling.js' */
import { PollError } from './errors.js';

/** @typedef {'pending' | 'running' | 'completed' | 'failed' | 'cancelled'} Status */

/** How a job may end, and the event that tells of it. */
export const ENDINGS = { completed: 'complete', failed: 'error', cancelled: 'cancelled' };

/**
 * The server's JSON, as far as it can be believed: every field has the type it should have, or is `null`.
 *
 * @typedef {ReturnType<typeof toRecord>} JobRecord
 */

/**
 * @param {string} text the body of an answer
 * @returns {ProgressData}
 */
export function parseData(text) {
  let data, cause;
  try {
    data = JSON.parse(text);
  } catch (error) {
    cause = error;
  }
  if (data && typeof data === 'object' && !Array.isArray(data)) return data;
  throw new PollError('unreadable', { status: 200, cause });
}

/**
 * @param {ProgressData} data
 * @returns {{ status: Status, ended: boolean }}
 */
export function toState(data) {
  const word = String(data.status);
  const ended = Object.hasOwn(ENDINGS, word);
  // The second is the word of other servers.
  const running = word === 'running' || word === 'in_progress';
  return { status: ended ? /** @type {Status} */ (word) : running ? 'running' : 'pending', ended };
}

/**
 * What the page shows.
 *
 * @param {ProgressData} data
 */
export function toRecord(data) {
  const { status, ended } = toState(data);
  const total = count(data.total_items);
  const processed = count(data.processed_items);
  return {
    status,
    ended,
    total,
    processed,
    failed: count(data.failed_items) ?? 0,
    remaining: count(data.remaining_items) ?? remainder(total, processed),
    percent: percentage(data.progress_percentage, status, total, processed),
    title: words(data.custom_title),
    message: words(data.current_message),
    errorMessage: words(data.error_message),
    completionMessage: words(data.completion_message),
    duration: count(data.duration),
    secondsLeft: count(data.estimated_remaining_time),
    stale: data.stale === true,
    cancelRequested: data.cancel_requested === true,
  };
}

/**
 * @param {any} value
 * @returns {number | null} `null` for what is no count
 */
export function count(value) {
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/** @param {unknown} value */
function words(value) {
  return typeof value === 'string' && value.trim() ? value : null;
}

/**
 * @param {number | null} total
 * @param {number | null} processed
 */
function remainder(total, processed) {
  return total !== null && processed !== null && processed <= total ? total - processed : null;
}

/**
 * Whole per cent, or `null` for a job whose end is not in sight. The server decides; a server that does not say
 * leaves it to the counts, rounded down so that 100 is never shown too early.
 *
 * @param {unknown} told
 * @param {Status} status
 * @param {number | null} total
 * @param {number | null} processed
 */
function percentage(told, status, total, processed) {
  if (status === 'completed') return 100;
  const percent = count(told);
  if (percent !== null) return Math.min(Math.floor(percent), 100);
  if (told === null || !total || remainder(total, processed) === null) return null;
  return Math.min(Math.floor((100 * Number(processed)) / total), 99);
}
