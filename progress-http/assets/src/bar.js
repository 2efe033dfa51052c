/** @import { View } from './view.js' */
/** @import { Skin } from './skins.js' */
import { create, setAttribute, setText } from './dom.js';
import { barState, classesOf } from './skins.js';

/** The bar with its percentage, and the line below it. */
export class Bar {
  #skin;
  #classes;
  #fill;
  #bar;
  #percent;
  #message;
  #timeLeft;
  #caption;

  /**
   * @param {Skin} skin
   * @param {{ titleId: string, showMessages: boolean }} options
   */
  constructor(skin, { titleId, showMessages }) {
    const classes = classesOf(skin);
    this.#skin = skin;
    this.#classes = classes('progress');
    this.showMessages = showMessages;
    this.#fill = create('div', { class: 'progress-polling-fill' });
    this.#percent = create('div', { class: classes('percent') });
    this.#bar = create(
      'div',
      {
        class: classes('bar'),
        role: 'progressbar',
        'aria-labelledby': titleId,
        'aria-valuemin': '0',
        'aria-valuemax': '100',
      },
      create('div', { class: 'progress-polling-track' }, this.#fill),
      this.#percent,
    );
    this.#message = create('span', { class: 'progress-polling-message', dir: 'auto' });
    this.#timeLeft = create('span', { class: 'progress-polling-time-left' });
    this.#caption = create('div', { class: classes('caption') }, this.#message, this.#timeLeft);
    this.node = create('div', { class: this.#classes }, this.#bar, this.#caption);
  }

  /** @param {View} view */
  render(view) {
    const { percent } = view;
    setAttribute(this.node, 'class', `${this.#classes} ${barState(this.#skin, view.state, view.indeterminate)}`.trim());
    setAttribute(this.node, 'data-percent', percent === null ? null : String(percent));
    setAttribute(this.#bar, 'aria-valuenow', percent === null ? null : String(percent));
    setAttribute(this.#bar, 'aria-valuetext', view.valueText);
    this.#fill.toggleAttribute('data-indeterminate', view.indeterminate);
    this.#fill.style.setProperty('--progress-polling-done', `${percent ?? 0}%`);
    setText(this.#percent, view.percentText);
    setText(this.#message, view.line);
    setText(this.#timeLeft, this.showMessages ? view.timeLeft : '');
    // A page without messages is still told when something is wrong, and how it ended.
    this.#caption.hidden = !this.showMessages && !view.essential;
  }
}
