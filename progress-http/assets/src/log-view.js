/** @import { LogEntry } from './log-reader.js' */
/** @import { Translator } from './translator.js' */
import { create, setText } from './dom.js';

/** More lines than anyone reads in a box of this height; a job of a million items must not fill the page's memory. */
const LONGEST_LOG = 500;

/** Within this many pixels of its end the box is taken to be read at its end, and follows. */
const NEAR_END = 24;

/** The newest entries of the job's log, in a box that scrolls. */
export class LogView {
  #translator;
  #classes;
  #list;
  #dropped;
  #time;

  /**
   * @param {(part: string) => string} classes
   * @param {Translator} translator
   */
  constructor(classes, translator) {
    this.#translator = translator;
    this.#classes = classes;
    this.#time = new Intl.DateTimeFormat(translator.language, { timeStyle: 'medium' });
    this.#list = create('ol', { class: classes('log') });
    this.#dropped = create('p', { class: 'progress-polling-dropped', dir: 'auto' });
    // Reachable by keyboard, since it scrolls; named, since it can be reached, and a group, since a page with several bars
    // would have as many landmarks of one name otherwise; not live, since it would never be silent.
    this.node = create(
      'div',
      { class: 'progress-polling-log-box', tabindex: '0', role: 'group', 'aria-label': translator.text('log') },
      this.#dropped,
      this.#list,
    );
    this.node.hidden = true;
  }

  /**
   * @param {LogEntry[]} entries
   * @param {unknown} dropped
   */
  append(entries, dropped) {
    const { node } = this;
    const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR_END;
    this.#list.append(...entries.map((entry) => this.#item(entry)));
    while (this.#list.childElementCount > LONGEST_LOG) this.#list.firstElementChild?.remove();
    if (typeof dropped === 'number' && dropped > 0)
      setText(this.#dropped, this.#translator.counted('logDropped', dropped));
    node.hidden = false;
    if (atEnd) node.scrollTop = node.scrollHeight;
  }

  /** @param {LogEntry} entry */
  #item(entry) {
    const error = entry?.level === 'error';
    const item = create('li', { class: this.#classes('entry'), ...(error && { 'data-level': 'error' }) });
    const at = new Date(String(entry?.at));
    if (!Number.isNaN(at.valueOf()))
      item.append(create('time', { datetime: at.toISOString(), dir: 'auto' }, this.#time.format(at)), ' ');
    if (error) item.append(create('b', {}, this.#translator.text('logError')), ' ');
    const texts = [entry?.item, entry?.message].filter((text) => typeof text === 'string' && text !== '');
    item.append(create('span', { dir: 'auto' }, texts.join(' – ')));
    return item;
  }
}
