/**
 * @param {string} base
 * @param {string} name
 */
const below = (base, name) => `${base.replace(/\/+$/, '')}/${name}`;

/**
 * @param {{ endpoint: string, url?: string }} options
 * @param {string} jobId
 * @returns {string} where the record of the job is read
 */
export function statusUrl({ endpoint, url }, jobId) {
  return url || below(endpoint, encodeURIComponent(jobId));
}

/**
 * The same record at the address that some endpoints know it by, those of the design before this one among them: with
 * a slash at its end, or without.
 *
 * @param {string} url
 */
export function withOtherEnding(url) {
  return url.replace(/\/?$/, (slash) => (slash ? '' : '/'));
}

/**
 * @param {{ endpoint: string }} options
 * @param {Iterable<{ jobId: string }>} jobs
 * @returns {string} where the records of several jobs are read at once
 */
export function listUrl({ endpoint }, jobs) {
  const ids = new Set([...jobs].map(({ jobId }) => encodeURIComponent(jobId)));
  return below(endpoint, `?ids=${[...ids]}`);
}

/**
 * The address of something that belongs to the record: its log, its cancellation. The query of the record's own
 * address is kept, since it may carry what the application needs to recognise the viewer.
 *
 * @param {string} record
 * @param {string} name
 * @param {Record<string, string | number>} [parameters]
 */
export function belongingUrl(record, name, parameters = {}) {
  const url = new URL(record, document.baseURI);
  url.pathname = below(url.pathname, name);
  for (const parameter in parameters) url.searchParams.set(parameter, `${parameters[parameter]}`);
  return url.href;
}

/**
 * The application mounts the script beside the records, so the address of one tells the address of the other. A copy
 * that was bundled, renamed or served by another site tells nothing. Its name may hold its hash.
 *
 * @param {string | undefined} script
 * @param {string} origin of the page
 * @returns {string | undefined}
 */
export function endpointBeside(script, origin) {
  const path = String(script?.replace(origin, ''));
  return /^(|\/(?!.*node_modules).*)\/progress-polling(\.[0-9a-f]+)?\.m?js\b/.exec(path)?.[1];
}
