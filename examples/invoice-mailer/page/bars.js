// The progress bars: one widget per job that the page follows.

import { create, setText, timeElement } from './elements.js';
import { text } from './words.js';

/** A widget that follows one job, with the page's buttons. */
class Bar {
  #time = create('p', { className: 'job-time' });
  #choose = create('button', { type: 'button' }, text('show_invoices'));
  #dismiss = create('button', { type: 'button', hidden: true }, text('dismiss'));
  #poller = create('progress-poller', {}, text('job_text'));

  /**
   * @param {string} jobId
   * @param {string | undefined} title the title of a job that has none
   */
  constructor(jobId, title) {
    const attributes = { 'job-id': jobId, icon: '✉️', 'show-log': '', 'allow-cancel': '' };
    // Without a shadow root, because the page's style sheet adapts the widget.
    attributes.skin = 'semantic';
    if (title) attributes.heading = title;
    for (const [name, value] of Object.entries(attributes)) this.#poller.setAttribute(name, value);
    const buttons = create('div', { className: 'buttons' }, this.#choose, this.#dismiss);
    const actions = create('div', { className: 'job-actions' }, this.#time, buttons);
    this.node = create('article', { className: 'job' }, this.#poller, actions);
  }

  /**
   * @param {{ onRecord: Function, onSettled: Function, onChoose: Function, onDismiss: Function }}
   *   listeners
   */
  listen({ onRecord, onSettled, onChoose, onDismiss }) {
    this.#choose.addEventListener('click', onChoose);
    this.#dismiss.addEventListener('click', onDismiss);
    this.#poller.addEventListener('progress-polling:progress', ({ detail: { data } }) => {
      this.#describe(data);
      onRecord(data);
    });
    this.#poller.addEventListener('progress-polling:settled', () => {
      this.#dismiss.hidden = false;
      onSettled();
    });
  }

  /** The latest record, if one has arrived. */
  get record() {
    return this.#poller.progressPolling?.snapshot;
  }

  refresh() {
    this.#poller.progressPolling?.refresh();
  }

  reveal() {
    this.node.scrollIntoView({ block: 'nearest' });
  }

  mark(isChosen) {
    this.node.dataset.chosen = isChosen;
    this.#choose.hidden = isChosen;
  }

  #describe({ created_at: createdAt }) {
    if (!this.#time.hasChildNodes())
      this.#time.append(text('requested'), ' ', timeElement(createdAt));
  }
}

/** The bars of the page, newest first. */
export class Bars {
  #place = document.getElementById('jobs');
  #empty = document.getElementById('no-jobs');
  /** @type {Map<string, Bar>} */
  #bars = new Map();
  /** The id of the job that was opened from the history; the next such job replaces its bar. */
  #visitor = '';
  #listeners;

  /** @param {{ onRecord: Function, onSettled: Function, onChoose: Function }} listeners */
  constructor(listeners) {
    this.#listeners = listeners;
  }

  /** Adds a bar. A job that was just started has no record and no title yet. */
  follow(jobId, job = null) {
    if (this.#bars.has(jobId)) return;
    const { onChoose, ...listeners } = this.#listeners;
    const bar = new Bar(jobId, job?.custom_title ? undefined : text('job_title'));
    bar.listen({
      ...listeners,
      onChoose: () => onChoose(jobId, bar.record),
      onDismiss: () => this.#dismiss(jobId),
    });
    this.#bars.set(jobId, bar);
    // The widget starts when it is added to the page, and ends when it is removed.
    this.#place.prepend(bar.node);
    this.showWhetherEmpty();
  }

  has(jobId) {
    return this.#bars.has(jobId);
  }

  visit(job) {
    const { job_id: jobId } = job;
    if (!this.#bars.has(jobId)) {
      this.#remove(this.#visitor);
      this.#visitor = jobId;
      this.follow(jobId, job);
    }
    this.#bars.get(jobId).reveal();
  }

  /** Polls all jobs at once. */
  refresh() {
    for (const bar of this.#bars.values()) bar.refresh();
  }

  choose(jobId) {
    for (const [id, bar] of this.#bars) bar.mark(id === jobId);
  }

  showWhetherEmpty() {
    setText(this.#empty, this.#bars.size ? '' : text('no_job'));
  }

  #dismiss(jobId) {
    this.#remove(jobId);
    // The focused button was removed.
    this.#place.focus();
    this.showWhetherEmpty();
  }

  #remove(jobId) {
    this.#bars.get(jobId)?.node.remove();
    this.#bars.delete(jobId);
  }
}
