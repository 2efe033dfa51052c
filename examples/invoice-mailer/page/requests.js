// Requests to the server, and what becomes of them.

import { text } from './words.js';

const REQUEST_TIMEOUT = 10_000;

/** A request that was not answered as hoped; the message is meant for the reader. */
class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 when there was no answer that could be read
   */
  constructor(message, status = 0) {
    super(message);
    /** Whether the same request may succeed later. */
    this.isPassing = status === 0 || status === 429 || status >= 500;
  }
}

/** Reads the JSON at an address, or rejects with a `RequestError` that says why not. */
export async function requestJson(url, options = {}) {
  let response;
  let body;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT), ...options });
    body = await response.json();
  } catch {
    throw new RequestError(text(response ? 'unreadable' : 'no_answer'));
  }
  if (!response.ok) throw new RequestError(body?.detail ?? text('status', { status: response.status }), response.status);
  return body;
}
