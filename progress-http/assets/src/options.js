/** @import { PollerOptions, WidgetOptions } from './progress-polling.js' */
import { systemClock } from './clock.js';
import { defaultEndpoint } from './origin.js';

/**
 * Looks up the global `fetch` for each call. Browsers throw if it is called as a method of another
 * object, such as `options`.
 *
 * @type {typeof fetch}
 */
export const globalFetch = (input, init) => globalThis.fetch(input, init);

/**
 * Merges options with their defaults. `undefined` and `null` mean the default, so that callers can
 * pass optional settings through. An invalid or negative number also means the default.
 *
 * @template {object} Defaults
 * @template {object} Given
 * @param {Defaults} defaults
 * @param {Given} given
 * @returns {Defaults & Given}
 */
export function withDefaults(defaults, given) {
  const options = /** @type {any} */ ({ ...defaults, ...given });
  for (const name in options) {
    const usual = /** @type {any} */ (defaults)[name];
    if (options[name] == null || (usual >= 0 && !(options[name] >= 0))) options[name] = usual;
  }
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
      maxRetries: Infinity,
      backoffBase: 1000,
      backoffMax: 30_000,
      notFoundRetries: 5,
      fetch: globalFetch,
      clock: systemClock,
      random: Math.random,
    },
    given,
  );
}

/** @typedef {ReturnType<typeof pollerOptions>} ResolvedPollerOptions */

/** @param {WidgetOptions} given */
export const widgetOptions = (given) =>
  withDefaults(
    {
      endpoint: defaultEndpoint(),
      showDetails: true,
      showStats: true,
      autoHideDelay: 3000,
      announceStep: 25,
      skin: /** @type {const} */ ('semantic'),
      whenHidden: /** @type {const} */ ('slow'),
      messages: {},
    },
    given,
  );

/** Options that are functions or objects; an attribute cannot hold one. */
const NOT_TEXT = /^(fetch|clock|random|headers|messages|root|on)/;

/** Options that an attribute without a value turns on. */
const YES = /^(show|allow|autoHideO|reload|persist|debug|compact)/;

/**
 * Reads the options from an element's attributes, which have hyphens: `poll-interval`,
 * `show-details="false"`. The title is the `heading`, because `title` is the element's tooltip.
 *
 * @param {HTMLElement} element
 * @returns {WidgetOptions & { jobId?: string }}
 */
export function optionsFrom(element) {
  /** @type {Record<string, unknown>} */
  const options = {};
  for (const { name, value } of element.attributes) {
    const option = name.replace(/-./g, ([, letter]) => letter.toUpperCase());
    if (!NOT_TEXT.test(option))
      options[option] = value ? value !== 'false' && value : YES.test(option) || undefined;
  }
  options.title = options.heading;
  return options;
}
