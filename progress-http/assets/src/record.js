/** @import { ProgressData } from './progress-polling.js' */
import { PollError } from './errors.js';

/** How a job may end, and the event that tells of it. */
export const ENDINGS = { completed: 'complete', failed: 'error', cancelled: 'cancelled' };

/**
 * @param {string} text the body of an answer
 * @returns {ProgressData}
 */
export function parseData(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    // No JSON at all: a proxy's page, for example.
  }
  if (Object(data) === data && !Array.isArray(data)) return data;
  throw new PollError('unreadable', { status: 200 });
}

/**
 * The status as the server names it; other servers have another word for `running`.
 *
 * @param {ProgressData} data
 */
export function toState(data) {
  const word = String(data.status);
  return { status: word === 'in_progress' ? 'running' : word, ended: Object.hasOwn(ENDINGS, word) };
}

/**
 * @param {any} value
 * @returns {number | null} `null` for what is no count
 */
export function count(value) {
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/**
 * @param {unknown} value
 * @returns {string} empty for what is no text
 */
export function text(value) {
  return typeof value === 'string' && value.trim() ? value : '';
}
