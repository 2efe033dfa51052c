/** @import { PollerOptions, WidgetOptions } from './progress-polling.js' */
import { systemClock } from './clock.js';

/**
 * Bound late and to the global: a browser's fetch refuses to be called as a method of anything else.
 *
 * @type {typeof fetch}
 */
export const globalFetch = (input, init) => globalThis.fetch(input, init);

/**
 * An option set to `undefined`, or to `null`, means its default, so callers can pass their own optional settings through.
 *
 * @template {object} Defaults
 * @template {object} Given
 * @param {Defaults} defaults
 * @param {Given} given
 * @returns {Defaults & Given}
 */
export function withDefaults(defaults, given) {
  const options = /** @type {any} */ ({ ...given });
  for (const name in defaults) options[name] ??= defaults[name];
  return options;
}

/** @param {PollerOptions} given */
export function pollerOptions(given) {
  return withDefaults(
    {
      endpoint: '/progress',
      pollInterval: 500,
      hiddenPollInterval: 5000,
      requestTimeout: 10_000,
      maxRetries: 10,
      backoffBase: 1000,
      backoffMax: 30_000,
      notFoundRetries: 5,
      credentials: /** @type {RequestCredentials} */ ('same-origin'),
      fetch: globalFetch,
      clock: systemClock,
      random: Math.random,
    },
    given,
  );
}

/** @typedef {ReturnType<typeof pollerOptions>} ResolvedPollerOptions */

/** @param {WidgetOptions} given */
export function widgetOptions(given) {
  return withDefaults(
    {
      showDetails: true,
      showStats: true,
      showLog: false,
      allowCancel: false,
      autoHideOnComplete: false,
      autoHideDelay: 3000,
      announceStep: 25,
      debug: false,
      persist: false,
      reloadOnComplete: false,
      redirectOnComplete: /** @type {string | false} */ (false),
      skin: /** @type {const} */ ('semantic'),
      whenHidden: /** @type {const} */ ('slow'),
      messages: {},
      clock: systemClock,
    },
    given,
  );
}

/** @typedef {ReturnType<typeof widgetOptions>} ResolvedWidgetOptions */
