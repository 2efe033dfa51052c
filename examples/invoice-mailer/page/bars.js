// The bars: a widget for each job that is followed.

import { create, setText, timeElement } from './elements.js';
import { text } from './words.js';

/** A widget that follows one job, and what the page adds to it. */
class Bar {
  #time = create('p', { className: 'job-time' });
  #choose = create('button', { type: 'button' }, text('show_invoices'));
  #dismiss = create('button', { type: 'button', hidden: true }, text('dismiss'));
  #poller = create('progress-poller', {}, text('job_text'));

  /**
   * @param {string} jobId
   * @param {string | undefined} title what to call a job that has no title of its own
   */
  constructor(jobId, title) {
    const attributes = { 'job-id': jobId, icon: '✉️', 'show-log': '', 'allow-cancel': '' };
    if (title) attributes.heading = title;
    for (const [name, value] of Object.entries(attributes)) this.#poller.setAttribute(name, value);
    const buttons = create('div', { className: 'buttons' }, this.#choose, this.#dismiss);
    const actions = create('div', { className: 'job-actions' }, this.#time, buttons);
    this.node = create('article', { className: 'job' }, this.#poller, actions);
  }

  /** @param {{ onRecord: Function, onSettled: Function, onChoose: Function, onDismiss: Function }} listeners */
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

  /** The latest record, as far as one has arrived. */
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
    if (!this.#time.hasChildNodes()) this.#time.append(text('requested'), ' ', timeElement(createdAt));
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

  /** A job that was started here has no record yet, and no title of its own. */
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
    // The widget begins with its place in the page, and ends with it.
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

  /** Asks at once how far the jobs are. */
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
    // The button that had the focus is gone.
    this.#place.focus();
    this.showWhetherEmpty();
  }

  #remove(jobId) {
    this.#bars.get(jobId)?.node.remove();
    this.#bars.delete(jobId);
  }
}
