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
  return url.endsWith('/') ? url.slice(0, -1) : `${url}/`;
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
  const [path, query] = record.split('#', 1)[0].split('?');
  const search = new URLSearchParams(query);
  for (const [key, value] of Object.entries(parameters)) search.set(key, String(value));
  const suffix = search.size ? `?${search}` : '';
  return below(path, name + suffix);
}

/**
 * The application mounts the script beside the records, so the address of one tells the address of the other. A copy
 * that was bundled, renamed or served by another site tells nothing. Its name may hold its hash.
 *
 * @param {string | undefined} script
 * @param {string} page
 * @returns {string | undefined}
 */
export function endpointBeside(script, page) {
  if (!script) return undefined;
  const address = new URL(script, page);
  const served = /^(.*)\/progress-polling(?:\.[0-9a-f]+)?\.m?js$/.exec(address.pathname);
  return served && address.origin === new URL(page).origin ? served[1] : undefined;
}
