/** @import { ProgressData } from './progress-polling.js' */
import { PollError } from './errors.js';

/** The final statuses, each with its event. */
export const ENDINGS = { completed: 'complete', failed: 'error', cancelled: 'cancelled' };

/**
 * @param {string} text the body of a response
 * @param {(data: any) => boolean} isExpected
 * @returns {any} the JSON object, if it is the expected one
 */
export function parseJson(text, isExpected) {
  try {
    const data = JSON.parse(text);
    if (isExpected(data)) return data;
  } catch {
    // Not JSON, but perhaps a proxy's error page; or `null`, which has no properties.
  }
  throw new PollError('unreadable', { status: 200 });
}

/**
 * Whether the object is the record of a job, and not another answer such as `{"error": …}`.
 *
 * @param {any} data
 */
export const isRecord = (data) => typeof data.status === 'string';

/**
 * Whether the object is a list of records.
 *
 * @param {any} data
 */
export const hasJobs = (data) => Array.isArray(data.jobs);

/**
 * Returns the status and whether it is final. Some servers say `in_progress` for `running`.
 *
 * @param {ProgressData} data
 */
export function toState(data) {
  const word = String(data.status);
  return { status: word === 'in_progress' ? 'running' : word, ended: Object.hasOwn(ENDINGS, word) };
}

/**
 * @param {any} value
 * @returns {number | null} `null` unless it is a number of at least 0
 */
export function count(value) {
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string} empty unless it is a text that is not blank
 */
export function text(value) {
  return typeof value === 'string' && value.trim() ? value : '';
}
