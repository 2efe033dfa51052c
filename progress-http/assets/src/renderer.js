/** @import { View } from './view.js' */
/** @import { Skin } from './skins.js' */
/** @import { Translator } from './translator.js' */
import { Announcer } from './announcer.js';
import { Bar } from './bar.js';
import { create, setAttribute, setText, uniqueId } from './dom.js';
import { LogView } from './log-view.js';
import { classesOf } from './skins.js';
import { Statistics } from './statistics.js';

/** States in which a job can still be cancelled. */
const CANCELLABLE = new Set(['waiting', 'running', 'stale', 'reconnecting', 'offline', 'cancelling']);

/** Builds the elements once and writes into them what a view says. */
export class Renderer {
  /** @type {LogView | null} */
  log = null;
  #translator;
  #ownTitle;
  #title;
  #badge;
  #bar;
  #announcer;
  /** @type {Statistics | null} */
  #statistics = null;
  #alert;
  #reason;
  #again;
  #cancel;

  /**
   * @param {Translator} translator
   * @param {{ skin: Skin, title?: string, icon?: string, showDetails: boolean, showStats: boolean, showLog: boolean,
   *   announceStep: number }} options
   * @param {{ tryAgain: () => void, cancel: (() => void) | null }} actions
   */
  constructor(translator, options, actions) {
    const classes = classesOf(options.skin);
    const titleId = uniqueId();
    this.#translator = translator;
    this.#ownTitle = options.title;
    this.#title = create('span', { class: classes('title'), id: titleId, dir: 'auto' });
    this.#badge = create('span', { class: classes('badge'), dir: 'auto' });
    this.#bar = new Bar(options.skin, { titleId, showMessages: options.showStats });
    this.#announcer = new Announcer(options.announceStep);
    this.#reason = create('p', { class: 'progress-polling-reason', role: 'alert', dir: 'auto' });
    this.#again = button(classes, translator.text('tryAgain'), actions.tryAgain);
    this.#alert = create('div', { class: classes('alert') }, this.#reason, this.#again);
    this.#cancel = actions.cancel && button(classes, translator.text('cancel'), actions.cancel);
    if (options.showDetails) this.#statistics = new Statistics(classes);
    if (options.showLog) this.log = new LogView(classes, translator);

    const status = create('div', { class: 'progress-polling-status' }, ...present(this.#cancel, this.#badge));
    const header = create('div', { class: 'progress-polling-header' }, ...icon(options.icon), this.#title, status);
    this.node = create(
      'div',
      {
        class: `progress-polling ${classes('root')}`,
        role: 'group',
        'aria-labelledby': titleId,
        lang: translator.language,
        tabindex: '-1',
      },
      ...present(header, this.#bar.node, this.#statistics?.node, this.#alert, this.log?.node, this.#announcer.node),
    );
  }

  /** @param {View} view */
  render(view) {
    const title = this.#ownTitle ?? view.title ?? this.#translator.text('title');
    setAttribute(this.node, 'data-state', view.state);
    setText(this.#title, title);
    setText(this.#badge, view.badge);
    this.#bar.render(view);
    this.#statistics?.render(view);
    this.#show(this.#alert, view.alert !== '');
    setText(this.#reason, view.alert);
    this.#show(this.#again, view.state === 'lost');
    if (this.#cancel) {
      this.#show(this.#cancel, CANCELLABLE.has(view.state));
      this.#cancel.disabled = !view.cancellable;
    }
    this.#announcer.render(view, title);
  }

  /**
   * A button that disappears under the reader's fingers hands the focus to the widget instead of losing it.
   *
   * @param {HTMLElement} part
   * @param {boolean} shown
   */
  #show(part, shown) {
    if (!shown && !part.hidden && part.matches(':focus')) this.node.focus();
    part.hidden = !shown;
  }
}

/** @param {(HTMLElement | null | undefined)[]} parts */
function present(...parts) {
  return parts.filter((part) => !!part);
}

/**
 * @param {(part: string) => string} classes
 * @param {string} label
 * @param {() => void} action
 */
function button(classes, label, action) {
  const node = create('button', { class: classes('button'), type: 'button' }, label);
  node.addEventListener('click', action);
  return node;
}

/**
 * @param {string | undefined} name an emoji, or the classes of a Semantic icon
 */
function icon(name) {
  if (!name) return [];
  const semantic = /^[a-z][a-z ]*$/.test(name);
  const attributes = { class: `progress-polling-icon ${semantic ? `${name} icon` : ''}`.trim(), 'aria-hidden': 'true' };
  return [semantic ? create('i', attributes) : create('span', attributes, name)];
}
