/**
 * Reads or stores the job that a container follows, so that its bar returns after a reload. Applies
 * to this tab and this path only: the same container id on another page has its own job.
 *
 * @param {string} container the id of the container
 * @param {string} [jobId] the job to store; an empty one removes it
 * @returns {string | undefined} the stored job
 */
export function storedJob(container, jobId) {
  const key = `progress-polling:${location.pathname}#${container}`;
  // Storage may be forbidden or full; the bar works without it.
  try {
    if (jobId !== undefined) sessionStorage[key] = jobId;
    return sessionStorage[key];
  } catch {
    return undefined;
  }
}
