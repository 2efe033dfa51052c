/** @import { ResolvedPollerOptions } from './options.js' */
import { PollError, kindOfStatus } from './errors.js';

/**
 * @typedef {object} Reply
 * @property {number} status 200, 202, 304 …
 * @property {string} text empty for 304
 * @property {Headers} headers
 */

/**
 * Sends one request and reads the whole response within the deadline. Rejects with a `PollError`
 * unless the request succeeds.
 *
 * On abort the promise rejects by itself, because an injected `fetch` may ignore the signal.
 *
 * @param {ResolvedPollerOptions} options
 * @param {string} url
 * @param {object} [more]
 * @param {string} [more.method]
 * @param {string | null | false} [more.etag]
 * @param {number} [more.wait] how long the server may wait for a change, in milliseconds
 * @param {AbortController} [more.controller]
 * @returns {Promise<Reply>}
 */
export async function request(
  options,
  url,
  { method, etag, wait = 0, controller = new AbortController() } = {},
) {
  const { clock, credentials, fetch, headers: given, requestTimeout } = options;
  const { signal } = controller;
  const deadline = clock.setTimeout(
    () => controller.abort(new PollError('timeout')),
    requestTimeout + wait,
  );
  const send = async () => {
    const headers = new Headers(typeof given === 'function' ? await given() : given);
    headers.set('Accept', 'application/json');
    // Setting the header here and bypassing the HTTP cache lets the script see the 304.
    if (etag) headers.set('If-None-Match', etag);
    if (wait) headers.set('Prefer', `wait=${wait / 1000}`);
    const response = await fetch(url, { method, headers, signal, credentials, cache: 'no-store' });
    const { headers: received, status } = response;
    const text = await response.text();
    let kind = kindOfStatus(status);
    if (endsElsewhere(url, response) || (!kind && isPage(received, text))) kind = 'signed-out';
    if (kind) throw new PollError(kind, { status, _retryAfter: retryAfter(received) });
    return { status, text, headers: received };
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
 * Whether the request was redirected to another path, such as that of a login page. A slash at the
 * end makes no difference.
 *
 * @param {string} url
 * @param {Response} response
 */
function endsElsewhere(url, response) {
  const path = (/** @type {string} */ address) =>
    new URL(address, globalThis.document?.baseURI ?? response.url).pathname.replace(/\/+$/, '');
  return response.redirected && path(url) !== path(response.url);
}

/**
 * Whether the body is an HTML page, such as a login page, instead of JSON.
 *
 * @param {Headers} headers
 * @param {string} text
 */
function isPage(headers, text) {
  return headers.get('Content-Type')?.includes('html') || /^\s*</.test(text);
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
