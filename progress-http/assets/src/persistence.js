/**
 * Remembers which job a place on a page follows, so that the bar comes back after a refresh. Only in this tab,
 * and only for this page: another page with a place of the same name has jobs of its own.
 *
 * @param {string} place
 * @param {string} [jobId] to remember; an empty one to forget
 * @returns {string | undefined} what is remembered
 */
export function memoryOf(place, jobId) {
  const key = `progress-polling:${location.pathname}#${place}`;
  // Storage may be forbidden or full; the bar works without.
  try {
    if (jobId !== undefined) sessionStorage[key] = jobId;
    return sessionStorage[key];
  } catch {
    return undefined;
  }
}
