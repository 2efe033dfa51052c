/**
 * Returns the address of the job's result, or nothing if a link to it could be harmful: it must be
 * of the page's origin, or use HTTPS. `javascript:` and `data:` are neither.
 *
 * @param {unknown} href
 * @param {string} base the address of the page
 */
export function safeHref(href, base) {
  if (typeof href !== 'string' || !href) return undefined;
  try {
    const url = new URL(href, base);
    const isOfPage = url.origin === new URL(base).origin && url.protocol.startsWith('http');
    return isOfPage || url.protocol === 'https:' ? url.href : undefined;
  } catch {
    return undefined;
  }
}
