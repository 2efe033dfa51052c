/**
 * Remembers which job a place on a page follows, so that the bar comes back after a refresh. Only in this tab,
 * and only for this page: another page with a place of the same name has jobs of its own.
 *
 * @param {string} place
 */
export function memoryOf(place) {
  const key = `progress-polling:${location.pathname}#${place}`;
  return {
    /** @param {string} jobId */
    remember: (jobId) => withStorage((storage) => storage.setItem(key, jobId)),
    recall: () => withStorage((storage) => storage.getItem(key)) ?? null,
    forget: () => withStorage((storage) => storage.removeItem(key)),
  };
}

/**
 * Storage may be forbidden or full; the bar works without.
 *
 * @template Result
 * @param {(storage: Storage) => Result} use
 */
function withStorage(use) {
  try {
    return use(sessionStorage);
  } catch {
    return undefined;
  }
}
