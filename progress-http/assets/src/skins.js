/** @typedef {'semantic' | 'bootstrap' | 'plain'} Skin */

/**
 * The class names that a framework uses for the parts of the widget. They let a page's theme and
 * scripts find the parts; the widget's own style sheet defines the appearance.
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
