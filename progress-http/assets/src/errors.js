/**
 * The kind of a failed request, as the retry policy and the texts distinguish it.
 *
 * `network` no response · `timeout` no response in time · `server` try again later · `not-found` ·
 * `refused` not allowed, or not understood · `gone` · `unreadable` a response, but not a record ·
 * `signed-out` 401, or a page instead of a record, because the session has ended
 *
 * @typedef {'network' | 'timeout' | 'server' | 'not-found' | 'refused' | 'gone' | 'unreadable'
 *   | 'signed-out'} PollErrorKind
 */

/** The reason why a poll failed. `kind` is for programs, `message` for the console. */
export class PollError extends Error {
  name = 'PollError';

  /**
   * @param {PollErrorKind} kind
   * @param {{ status?: number, _retryAfter?: number, cause?: unknown }} [context]
   */
  constructor(kind, context = {}) {
    const { status = 0, _retryAfter = 0 } = context;
    super(`${kind} ${status}`, context);
    this.kind = kind;
    /** The HTTP status, or 0 without a response. */
    this.status = status;
    /** `Retry-After` in milliseconds, or 0 without one. */
    this._retryAfter = _retryAfter;
  }
}

/**
 * @param {number} status an HTTP status
 * @returns {PollErrorKind | undefined} nothing if it is no error
 */
export function kindOfStatus(status) {
  if (status < 400) return undefined;
  if (status === 404) return 'not-found';
  if (status === 410) return 'gone';
  if (status === 401) return 'signed-out';
  return status >= 500 || [408, 425, 429].includes(status) ? 'server' : 'refused';
}
