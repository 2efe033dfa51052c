/** @import { State } from './view.js' */

/** @typedef {'semantic' | 'bootstrap' | 'plain'} Skin */

/**
 * The class names under which a framework knows the parts of the widget. The widget's own style sheet does the looks;
 * these let a page's theme and scripts find what they know.
 *
 * @type {Record<Skin, { parts: Record<string, string>, bar: Partial<Record<State, string>> }>}
 */
const SKINS = {
  semantic: {
    parts: {
      root: 'ui segment',
      title: 'ui header',
      badge: 'ui label',
      progress: 'ui progress',
      bar: 'bar',
      percent: 'progress',
      caption: 'label',
      statistics: 'ui statistics',
      statistic: 'statistic',
      value: 'value',
      name: 'label',
      alert: 'ui negative message',
      button: 'ui button',
      log: 'ui list',
      entry: 'item',
    },
    bar: {
      running: 'active',
      cancelling: 'active',
      completed: 'success',
      failed: 'error',
      lost: 'error',
      stale: 'warning',
      reconnecting: 'warning',
      offline: 'warning',
    },
  },
  bootstrap: {
    parts: {
      root: 'card card-body',
      title: 'card-title',
      badge: 'badge',
      alert: 'alert alert-danger',
      button: 'btn btn-outline-secondary',
      log: 'list-unstyled',
    },
    bar: {},
  },
  plain: { parts: {}, bar: {} },
};

/**
 * @param {Skin} skin
 * @returns {(part: string) => string} the classes of a part
 */
export function classesOf(skin) {
  const { parts } = SKINS[skin] ?? SKINS.plain;
  return (part) => `progress-polling-${part} ${parts[part] ?? ''}`.trim();
}

/**
 * @param {Skin} skin
 * @param {State} state
 * @param {boolean} indeterminate
 */
export function barState(skin, state, indeterminate) {
  const word = (SKINS[skin] ?? SKINS.plain).bar[state] ?? '';
  return word === 'active' && indeterminate ? 'active indeterminate' : word;
}
