/** @import { ResolvedPollerOptions } from './options.js' */
import { PollError, kindOfStatus } from './errors.js';

/**
 * @typedef {object} Reply
 * @property {number} status 200, 202, 304 …
 * @property {string} text empty for 304
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
export async function exchange(options, url, { method, etag, controller = new AbortController() } = {}) {
  const { clock, credentials, fetch, headers: given, requestTimeout } = options;
  const { signal } = controller;
  const deadline = clock.setTimeout(() => controller.abort(new PollError('timeout')), requestTimeout);
  const send = async () => {
    const headers = new Headers(typeof given === 'function' ? await given() : given);
    headers.set('Accept', 'application/json');
    // Set by hand, with the HTTP cache out of the way, the script sees the 304 itself and no body crosses the wire.
    if (etag) headers.set('If-None-Match', etag);
    const response = await fetch(url, { method, headers, signal, credentials, cache: 'no-store' });
    const { ok, status } = response;
    if (!ok && status !== 304) {
      throw new PollError(kindOfStatus(status), { status, retryAfter: retryAfter(response.headers) });
    }
    return { status, text: await response.text(), etag: response.headers.get('ETag') };
  };
  try {
    return await new Promise((resolve, reject) => {
      signal.onabort = () => reject(signal.reason);
      send().then(resolve, reject);
    });
  } catch (cause) {
    throw cause instanceof PollError ? cause : new PollError('network', { cause });
  } finally {
    clock.clearTimeout(deadline);
  }
}

/**
 * `Retry-After` in milliseconds: seconds, or a date, which is compared with the server's own clock where it tells it.
 *
 * @param {Headers} headers
 */
function retryAfter(headers) {
  const value = headers.get('Retry-After') ?? '';
  const until = Date.parse(value) - (Date.parse(headers.get('Date') ?? '') || Date.now());
  return Math.max(Number(value) * 1000 || until, 0) || 0;
}
