/**
 * @param {string} base
 * @param {string} name
 */
const below = (base, name) => `${base.replace(/\/+$/, '')}/${name}`;

/**
 * @param {{ endpoint: string, url?: string }} options
 * @param {string} jobId
 * @returns {string} the URL of the job's record
 */
export function statusUrl({ endpoint, url }, jobId) {
  return url || below(endpoint, encodeURIComponent(jobId));
}

/**
 * Adds or removes the slash at the end. Some endpoints, such as those of the predecessor, know a
 * record only with it.
 *
 * @param {string} url
 */
export function withOtherEnding(url) {
  return url.replace(/\/?$/, (slash) => (slash ? '' : '/'));
}

/**
 * @param {{ endpoint: string }} options
 * @param {Iterable<{ jobId: string }>} jobs
 * @returns {string} the URL of the records of several jobs
 */
export function listUrl({ endpoint }, jobs) {
  const ids = new Set(Array.from(jobs, ({ jobId }) => encodeURIComponent(jobId)));
  return below(endpoint, `?ids=${[...ids]}`);
}

/**
 * Returns the URL of a resource of the record: its log or its cancellation. Keeps the query of the
 * record's URL, because the application may identify the viewer by it.
 *
 * @param {string} record
 * @param {string} name
 * @param {Record<string, any>} [parameters]
 */
export function belongingUrl(record, name, parameters = {}) {
  const url = new URL(record, document.baseURI);
  url.pathname = below(url.pathname, name);
  for (const parameter in parameters) url.searchParams.set(parameter, parameters[parameter]);
  return url.href;
}

/**
 * Returns the endpoint beside the script, because the application mounts both at one path. The
 * script's name may contain its hash. Returns nothing for a bundled, renamed or foreign copy.
 *
 * @param {string | undefined} script
 * @param {string} origin of the page
 * @returns {string | undefined}
 */
export function endpointBeside(script, origin) {
  const path = String(script?.replace(origin, ''));
  return /^(|\/(?!.*node_modules).*)\/progress-polling(\.[0-9a-f]+)?\.m?js\b/.exec(path)?.[1];
}
