// The bars: a widget for each job that is followed.

import { create, setText, timeElement } from './elements.js';

/** A widget that follows one job, and what the page adds to it. */
class Bar {
  #time = create('p', { className: 'job-time' });
  #choose = create('button', { type: 'button' }, 'Show invoices');
  #dismiss = create('button', { type: 'button', hidden: true }, 'Dismiss');
  #widget;

  /**
   * @param {HTMLElement} parent
   * @param {string} jobId
   * @param {{ onRecord: Function, onSettled: Function, onChoose: Function, onDismiss: Function }} listeners
   */
  constructor(parent, jobId, { onRecord, onSettled, onChoose, onDismiss }) {
    const place = create('div', { className: 'job-widget' });
    const actions = create('div', { className: 'job-actions' }, this.#time, this.#choose, this.#dismiss);
    this.node = create('article', { className: 'job' }, place, actions);
    // In the page before the widget is made: it finds its language and its style sheet there.
    parent.prepend(this.node);
    this.#choose.addEventListener('click', onChoose);
    this.#dismiss.addEventListener('click', onDismiss);
    this.#widget = new ProgressPolling(place, jobId, {
      icon: '✉️',
      showDetails: true,
      showStats: true,
      showLog: true,
      allowCancel: true,
      onProgress: (record) => {
        this.#describe(record);
        onRecord(record);
      },
      onSettled: () => {
        this.#dismiss.hidden = false;
        onSettled();
      },
    });
  }

  /** The latest record, as far as one has arrived. */
  get record() {
    return this.#widget.snapshot;
  }

  reveal() {
    this.node.scrollIntoView({ block: 'nearest' });
  }

  mark(isChosen) {
    this.node.dataset.chosen = isChosen;
    this.#choose.hidden = isChosen;
  }

  remove() {
    this.#widget.destroy();
    this.node.remove();
  }

  #describe({ created_at: createdAt }) {
    if (!this.#time.hasChildNodes()) this.#time.append('Started ', timeElement(createdAt));
  }
}

/** The bars of the page, newest first. */
export class Bars {
  #place = document.getElementById('jobs');
  #empty = document.getElementById('no-jobs');
  /** @type {Map<string, Bar>} */
  #bars = new Map();
  /** The one that was opened to look at a job of the past; the next such job takes its place. */
  #visitor = '';
  #listeners;

  /** @param {{ onRecord: Function, onSettled: Function, onChoose: Function }} listeners */
  constructor(listeners) {
    this.#listeners = listeners;
  }

  follow(jobId) {
    if (this.#bars.has(jobId)) return;
    const { onChoose, ...listeners } = this.#listeners;
    const bar = new Bar(this.#place, jobId, {
      ...listeners,
      onChoose: () => onChoose(jobId, bar.record),
      onDismiss: () => this.#dismiss(jobId),
    });
    this.#bars.set(jobId, bar);
    this.showWhetherEmpty();
  }

  visit(jobId) {
    if (!this.#bars.has(jobId)) {
      this.#remove(this.#visitor);
      this.#visitor = jobId;
      this.follow(jobId);
    }
    this.#bars.get(jobId).reveal();
  }

  choose(jobId) {
    for (const [id, bar] of this.#bars) bar.mark(id === jobId);
  }

  showWhetherEmpty() {
    setText(this.#empty, this.#bars.size ? '' : 'No job is running.');
  }

  #dismiss(jobId) {
    this.#remove(jobId);
    // The button that had the focus is gone.
    this.#place.focus();
    this.showWhetherEmpty();
  }

  #remove(jobId) {
    this.#bars.get(jobId)?.remove();
    this.#bars.delete(jobId);
  }
}
