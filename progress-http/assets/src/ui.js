/** @import { View } from './view.js' */
/** @import { Skin } from './skins.js' */
/** @import { Translator } from './translator.js' */
/** @import { LogEntry } from './log.js' */
import { createAnnouncer } from './announcer.js';
import { text } from './record.js';
import { safeHref } from './result.js';
import { SKINS } from './skins.js';

const COUNTS = /** @type {const} */ (['total', 'processed', 'remaining', 'errors']);

/** The most log entries in the page, so that the log of a huge job does not fill its memory. */
const LONGEST_LOG = 500;

/**
 * What the buttons do, by the keys of their texts. `cancel` asks first, `confirmCancel` does it.
 *
 * @typedef {Record<'tryAgain' | 'reload' | 'cancel' | 'keep' | 'confirmCancel' | 'dismiss',
 *   () => void>} Actions
 */

/**
 * Builds the elements of the widget once.
 *
 * @param {Translator} translator
 * @param {{ skin: Skin, title?: string, icon?: string, showDetails: boolean, showStats: boolean,
 *   allowCancel?: boolean, showLog?: boolean, persist?: boolean, compact?: boolean,
 *   announceStep: number }} options
 * @param {Actions} actions
 * @returns the root element, a function that shows a view in it, one that adds log entries, and one
 *   that removes it
 */
export function createUi(translator, options, actions) {
  const { language, say } = translator;
  const { icon } = options;
  // At random, because a page may load two copies of the script.
  const id = `progress-polling-${Math.random()}`;
  /** @type {Record<string, HTMLElement>} */
  const parts = {};

  /** @param {string} name */
  const classes = (name) => `progress-polling-${name} ${SKINS[options.skin]?.[name] ?? ''}`;

  /**
   * @template {keyof HTMLElementTagNameMap} Tag
   * @param {Tag} tag
   * @param {string} name
   * @param {Record<string, string>} [attributes]
   * @param {(Node | string | null | false | undefined)[]} children
   */
  const part = (tag, name, attributes, ...children) => {
    const node = document.createElement(tag);
    /** @type {Record<string, string>} */
    const all = { class: classes(name), ...attributes };
    for (const attribute in all) node.setAttribute(attribute, all[attribute]);
    // Each text has its own writing direction.
    if (tag === 'span') node.dir = 'auto';
    node.append(.../** @type {Node[]} */ (children.filter(Boolean)));
    parts[name] = node;
    return node;
  };

  /**
   * @param {keyof Actions} label
   * @param {string} [name]
   * @param {() => void} [onclick]
   */
  const button = (label, name = 'button', onclick = actions[label]) => {
    const node = part('button', name, { type: 'button' }, say(label));
    node.onclick = onclick;
    return node;
  };

  /**
   * Shows or hides an element. If a focused button is hidden, the widget takes over the focus.
   *
   * @param {HTMLElement} node
   * @param {unknown} shown
   */
  const show = (node, shown) => {
    if (!shown && node.matches(':focus')) root.focus();
    node.hidden = !shown;
  };

  /**
   * Shows the question whether to cancel, or hides it. The focus follows.
   *
   * @param {string} question
   */
  const ask = (question) => {
    if (confirm.hidden === !question) return;
    const hadFocus = confirm.matches(':focus-within');
    confirm.setAttribute('aria-label', question);
    confirm.hidden = !question;
    if (question) keep.focus();
    else if (hadFocus) (cancel.hidden ? root : cancel).focus();
  };

  // An emoji, or the classes of a Semantic icon.
  const semantic = /^[a-z][a-z\d ]*$/.test(/** @type {any} */ (icon));
  const cancel = button('cancel');
  const retry = button('tryAgain', 'link');
  const reload = button('reload', 'link');
  const dismiss = button('dismiss');
  const result = part('a', 'result');
  result.className += ` ${classes('link')}`;
  const keep = button('keep');
  const confirm = part(
    'div',
    'confirm',
    { role: 'group', hidden: '' },
    part('span', 'question'),
    keep,
    button('cancel', 'button', actions.confirmCancel),
  );
  confirm.onkeydown = ({ key }) => {
    if (key === 'Escape') actions.keep();
  };
  const rows = COUNTS.map((key) =>
    part(
      'div',
      'statistic',
      { 'data-count': key },
      part('dt', 'name', {}, say(key)),
      part('dd', key, { class: classes('value') }),
    ),
  );
  const fill = part('div', 'fill');
  const track = part('div', 'track', {}, fill);
  const bar = part(
    'div',
    'bar',
    { role: 'progressbar', 'aria-labelledby': id, 'aria-valuemin': '0', 'aria-valuemax': '100' },
    track,
    part('div', 'percent'),
  );
  const caption = part(
    'div',
    'caption',
    {},
    part('span', 'message'),
    part('span', 'time-left'),
    retry,
    reload,
    result,
  );
  const row = part(
    'div',
    'row',
    {},
    bar,
    options.allowCancel && cancel,
    options.persist && dismiss,
  );
  const progress = part('div', 'progress', {}, row, caption);
  const statistics = part('dl', 'statistics', {}, ...rows);
  const alert = part('span', 'alert', { role: 'alert' });
  const dropped = part('span', 'dropped');
  const list = part('ol', 'log');
  // Focusable because it scrolls, and named because it is focusable. A group, because several bars
  // would otherwise add landmarks of the same name. Not live, because it would be announced all the
  // time. The style sheet reverses its two parts: a box filled from below stays at its end.
  const log = part(
    'div',
    'log-box',
    { tabindex: '0', role: 'group', 'aria-label': say('log') },
    list,
    dropped,
  );
  const speech = part('div', 'announcer', { role: 'status' });
  const announcer = createAnnouncer(speech, translator, options.announceStep);
  const root = part(
    'div',
    'root',
    {
      class: `progress-polling ${classes('root')}`,
      role: 'group',
      'aria-labelledby': id,
      lang: language,
      tabindex: '-1',
      ...(options.compact && { 'data-compact': '' }),
    },
    part(
      'div',
      'header',
      {},
      icon &&
        part(
          semantic ? 'i' : 'span',
          'icon',
          { 'aria-hidden': 'true', class: `${classes('icon')}${semantic ? ` ${icon} icon` : ''}` },
          !semantic && icon,
        ),
      part('span', 'title', { id }),
      part('div', 'status', {}, part('span', 'badge')),
    ),
    progress,
    options.allowCancel && confirm,
    options.showDetails && !options.compact && statistics,
    alert,
    options.showLog && log,
    speech,
  );

  /** @param {any} stage */
  const createStage = (stage) => {
    const node = part('div', 'stage');
    // An invalid weight has no effect.
    node.style.flex = stage?.weight;
    return node;
  };

  /** @param {View} view */
  const render = (view) => {
    const { state, tone, percent, line, texts } = view;
    const href = safeHref(view.href);
    texts.title = options.title ?? texts.title;
    if (options.compact) texts.badge = [texts.badge, view.errors].filter(Boolean).join(' - ');
    for (const name in texts) {
      const value = /** @type {any} */ (texts)[name];
      // An unchanged text node needs no layout and keeps the selection.
      if (parts[name].textContent !== value) parts[name].textContent = value;
    }
    Object.assign(root.dataset, { state, tone, line: !!line });
    // The job is running, but its percentage is unknown.
    const indeterminate = !percent && state === 'running' ? 'indeterminate' : '';
    progress.className = `${classes('progress')} ${tone} ${indeterminate}`;
    progress.dataset.percent = percent;
    // As attributes, because Firefox 113 does not reflect the ARIA properties.
    if (percent) bar.setAttribute('aria-valuenow', percent);
    else bar.removeAttribute('aria-valuenow');
    bar.setAttribute('aria-valuetext', view.value);
    fill.style.setProperty('--done', `${percent || 0}%`);
    if (track.children.length !== view.stages.length + 1)
      track.replaceChildren(fill, ...view.stages.map(createStage));
    // Without `showStats` the caption still shows errors and how the job ended.
    caption.hidden = !options.showStats && !line && state !== 'lost';
    rows[3].hidden = !texts.errors;
    show(cancel, view.cancellable);
    show(dismiss, view.over);
    ask(texts.question);
    result.href = href;
    show(result, href);
    show(alert, texts.alert);
    show(retry, ['reconnecting', 'offline', 'lost'].includes(state));
    show(reload, state === 'signed-out');
    announcer.announce(view);
  };

  /** @param {LogEntry | null} entry */
  const createItem = (entry) => {
    const { at, level = 'info', item, message } = entry ?? {};
    const time = /** @type {any} */ (new Date(at));
    return part(
      'li',
      'entry',
      { 'data-level': level },
      time > 0 && part('span', 'time', {}, time.toLocaleTimeString(language)),
      ' ',
      level === 'error' && part('b', 'error', {}, say('failed')),
      ' ',
      part('span', 'text', {}, [text(item), text(message)].filter(Boolean).join(' – ')),
    );
  };

  /**
   * @param {LogEntry[]} entries
   * @param {any} lost how many older entries the server has dropped
   */
  const append = (entries, lost) => {
    list.append(...entries.map(createItem));
    const { children } = list;
    while (children.length > LONGEST_LOG) children[0].remove();
    if (lost > 0) dropped.textContent = say('dropped', { number: lost });
  };

  const remove = () => {
    announcer.leave();
    root.remove();
  };

  return { node: root, render, append, remove };
}
