/** @import { ResolvedPollerOptions } from './options.js' */
import { PollError, kindOfStatus } from './errors.js';

/**
 * @typedef {object} Reply
 * @property {number} status 200, 202, 304 …
 * @property {string} text
 * @property {string | null} etag
 */

/**
 * One request and its whole answer, within the deadline. Everything but a success rejects with a `PollError`.
 *
 * The deadline is raced rather than left to the abort signal, because an injected `fetch` may not honour one.
 *
 * @param {ResolvedPollerOptions} options
 * @param {string} url
 * @param {{ method?: string, etag?: string | null, controller?: AbortController }} [request]
 * @returns {Promise<Reply>}
 */
export async function exchange(options, url, { method = 'GET', etag, controller = new AbortController() } = {}) {
  const { clock } = options;
  const { signal } = controller;
  const aborted = new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  const deadline = clock.setTimeout(() => controller.abort(new PollError('timeout')), options.requestTimeout);
  try {
    return /** @type {Reply} */ (await Promise.race([send(options, url, method, etag, signal), aborted]));
  } catch (error) {
    throw error instanceof PollError ? error : new PollError('network', { cause: error });
  } finally {
    clock.clearTimeout(deadline);
  }
}

/**
 * @param {ResolvedPollerOptions} options
 * @param {string} url
 * @param {string} method
 * @param {string | null | undefined} etag
 * @param {AbortSignal} signal
 * @returns {Promise<Reply>}
 */
async function send(options, url, method, etag, signal) {
  const given = typeof options.headers === 'function' ? await options.headers() : options.headers;
  const headers = new Headers(given);
  headers.set('Accept', 'application/json');
  // Set by hand, with the HTTP cache out of the way, the script sees the 304 itself and no body crosses the wire.
  if (etag) headers.set('If-None-Match', etag);
  const response = await options.fetch(url, {
    method,
    headers,
    signal,
    credentials: options.credentials,
    cache: 'no-store',
  });
  const { status } = response;
  if (status !== 304 && (status < 200 || status > 299)) {
    throw new PollError(kindOfStatus(status), { status, retryAfter: retryAfter(response.headers) });
  }
  return { status, text: status === 304 ? '' : await response.text(), etag: response.headers.get('ETag') };
}

/**
 * `Retry-After` in milliseconds: seconds, or a date, which is compared with the server's own clock where it tells it.
 *
 * @param {Headers} headers
 */
function retryAfter(headers) {
  const value = headers.get('Retry-After') ?? '';
  if (/^\d+$/.test(value)) return Number(value) * 1000;
  const wait = Date.parse(value) - (Date.parse(headers.get('Date') ?? '') || Date.now());
  return Math.max(wait, 0) || 0;
}
