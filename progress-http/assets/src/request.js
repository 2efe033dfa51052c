/** @import { ResolvedPollerOptions } from './options.js' */
import { PollError, kindOfStatus } from './errors.js';

/**
 * @typedef {object} Reply
 * @property {number} status 200, 202, 304 …
 * @property {string} text empty for 304
 * @property {string | null} etag
 */

/**
 * Sends one request and reads the whole response within the deadline. Rejects with a `PollError`
 * unless the request succeeds.
 *
 * On abort the promise rejects by itself, because an injected `fetch` may ignore the signal.
 *
 * @param {ResolvedPollerOptions} options
 * @param {string} url
 * @param {{ method?: string, etag?: string | null, controller?: AbortController }} [more]
 * @returns {Promise<Reply>}
 */
export async function request(
  options,
  url,
  { method, etag, controller = new AbortController() } = {},
) {
  const { clock, credentials, fetch, headers: given, requestTimeout } = options;
  const { signal } = controller;
  const deadline = clock.setTimeout(
    () => controller.abort(new PollError('timeout')),
    requestTimeout,
  );
  const send = async () => {
    const headers = new Headers(typeof given === 'function' ? await given() : given);
    headers.set('Accept', 'application/json');
    // Setting the header here and bypassing the HTTP cache lets the script see the 304.
    if (etag) headers.set('If-None-Match', etag);
    const response = await fetch(url, { method, headers, signal, credentials, cache: 'no-store' });
    const { ok, status } = response;
    if (!ok && status !== 304) {
      throw new PollError(kindOfStatus(status), {
        status,
        retryAfter: retryAfter(response.headers),
      });
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
 * Returns `Retry-After` in milliseconds. A date is compared with the server's `Date`, or with the
 * browser's clock if there is none.
 *
 * @param {Headers} headers
 */
function retryAfter(headers) {
  const value = headers.get('Retry-After') ?? '';
  const until = Date.parse(value) - (Date.parse(headers.get('Date') ?? '') || Date.now());
  return Math.max(Number(value) * 1000 || until, 0) || 0;
}
