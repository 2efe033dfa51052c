/** @typedef {'semantic' | 'bootstrap' | 'plain'} Skin */

/**
 * The class names under which a framework knows the parts of the widget. The widget's own style sheet does the looks;
 * these let a page's theme and scripts find what they know.
 *
 * @type {Record<string, Record<string, string>>}
 */
export const SKINS = {
  semantic: {
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
    // What the bar is in each state.
    running: 'active',
    cancelling: 'active',
    completed: 'success',
    failed: 'error',
    lost: 'error',
    stale: 'warning',
    reconnecting: 'warning',
    offline: 'warning',
  },
  bootstrap: {
    root: 'card card-body',
    title: 'card-title',
    badge: 'badge',
    alert: 'alert alert-danger',
    button: 'btn btn-outline-secondary',
    log: 'list-unstyled',
  },
};
