/** @import { View } from './view.js' */
import { create, setText } from './dom.js';

/** Total, processed, remaining, and errors as soon as there are some. */
export class Statistics {
  #classes;
  /** @type {Map<string, HTMLElement>} the element of each value */
  #values = new Map();

  /** @param {(part: string) => string} classes */
  constructor(classes) {
    this.#classes = classes;
    this.node = create('dl', { class: classes('statistics') });
  }

  /** @param {View} view */
  render({ statistics }) {
    for (const { key, label, value } of statistics) setText(this.#values.get(key) ?? this.#add(key, label), value);
    const longest = Math.max(...statistics.map(({ value }) => value.length));
    this.node.style.setProperty('--progress-polling-digits', String(longest));
  }

  /**
   * @param {string} key
   * @param {string} label
   */
  #add(key, label) {
    const value = create('dd', { class: this.#classes('value') });
    const name = create('dt', { class: this.#classes('name') }, label);
    this.node.append(create('div', { class: this.#classes('statistic'), 'data-count': key }, name, value));
    this.#values.set(key, value);
    return value;
  }
}
