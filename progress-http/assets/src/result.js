import { text } from './record.js';

/**
 * Returns the address of a job's result, or nothing if a link to it could be harmful: it must use
 * HTTPS, or be of the page's origin. `javascript:` and `data:` are neither.
 *
 * @param {unknown} href relative to the page
 */
export function safeHref(href) {
  // A link accepts an invalid URL without throwing.
  const link = document.createElement('a');
  link.href = text(href);
  const { protocol, origin } = link;
  const isOfPage = protocol === 'http:' && origin === location.origin;
  return text(href) && (isOfPage || protocol === 'https:') ? link.href : '';
}
