/**
 * What went wrong with one request, in the terms the retry policy and the texts need.
 *
 * `network` no answer · `timeout` no answer in time · `server` asked to come back later · `not-found` ·
 * `refused` not allowed, or not understood · `gone` · `unreadable` an answer, but not a record
 *
 * @typedef {'network' | 'timeout' | 'server' | 'not-found' | 'refused' | 'gone' | 'unreadable'} PollErrorKind
 */

/** The reason why a poll failed. `kind` is for programs, `message` for the console. */
export class PollError extends Error {
  name = 'PollError';

  /**
   * @param {PollErrorKind} kind
   * @param {{ status?: number, retryAfter?: number, cause?: unknown }} [context]
   */
  constructor(kind, context = {}) {
    const { status = 0, retryAfter = 0 } = context;
    super(`${kind} ${status}`, context);
    this.kind = kind;
    /** The HTTP status, or 0 when there was no answer. */
    this.status = status;
    /** How long the server asked to be left alone, in milliseconds. */
    this.retryAfter = retryAfter;
  }
}

/**
 * Whether the trouble is the server's, and not that of a job or of the one who asks.
 *
 * @param {{ status: number }} error
 */
export function isOutage({ status }) {
  return !status || status >= 500 || [408, 425, 429].includes(status);
}

/**
 * @param {number} status an HTTP status that is neither 2xx nor 304
 * @returns {PollErrorKind}
 */
export function kindOfStatus(status) {
  if (status === 404) return 'not-found';
  if (status === 410) return 'gone';
  return isOutage({ status }) ? 'server' : 'refused';
}
