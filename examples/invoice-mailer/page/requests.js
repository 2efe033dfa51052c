// Requests to the server, and their errors.

import { text } from './words.js';

const REQUEST_TIMEOUT = 10_000;

/** The error of a failed request, with a message for the reader. */
class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 without a readable response
   */
  constructor(message, status = 0) {
    super(message);
    /** Whether the error is transient: the same request may succeed later. */
    this.isPassing = status === 0 || status === 429 || status >= 500;
  }
}

/** Requests JSON; rejects with a `RequestError` on failure. */
export async function requestJson(url, options = {}) {
  let response;
  let body;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT), ...options });
    body = await response.json();
  } catch {
    throw new RequestError(text(response ? 'unreadable' : 'no_answer'));
  }
  const { ok, status } = response;
  if (!ok) throw new RequestError(body?.detail ?? text('status', { status }), status);
  return body;
}
