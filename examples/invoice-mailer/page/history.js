// The history of jobs, including running ones.

import {
  create,
  duration,
  hasEnded,
  number,
  setText,
  showState,
  timeElement,
  titleOf,
} from './elements.js';
import { paced } from './pacing.js';
import { requestJson } from './requests.js';
import { text } from './words.js';

const HISTORY_LENGTH = 10;
/** The poll interval of active jobs without a bar, in milliseconds. */
const LOOK_INTERVAL = 3000;
/** The most ids that the server accepts in one request. */
const MOST_IDS = 100;

/** The row of one job. */
class HistoryRow {
  job = null;
  #button = create('button', { type: 'button', className: 'choose', dir: 'auto' });
  #error = create('span', { className: 'detail', dir: 'auto' });
  #state = create('span', { className: 'tag' });
  #done = create('td', { className: 'number done' });
  #errors = create('td', { className: 'number errors' });
  #duration = create('td', { className: 'number duration' });

  constructor(job, onChoose) {
    // The label on small screens, which show no column headers.
    this.#errors.dataset.label = text('errors_label');
    this.#button.addEventListener('click', () => onChoose(this.job));
    this.node = create(
      'tr',
      {},
      create('td', { className: 'when' }, timeElement(job.created_at)),
      create('th', { scope: 'row' }, this.#button, this.#error),
      create('td', { className: 'state' }, this.#state),
      this.#done,
      this.#errors,
      this.#duration,
    );
    this.show(job);
  }

  show(job) {
    // The list may be older than the record that a bar has received since.
    if (job.version < this.job?.version) return;
    this.job = job;
    setText(this.#button, titleOf(job));
    setText(this.#error, errorOf(job));
    showState(this.#state, ...stateOf(job));
    setText(this.#done, `${number(job.processed_items)} / ${number(job.total_items)}`);
    setText(this.#errors, number(job.failed_items));
    this.#errors.dataset.some = job.failed_items > 0;
    setText(this.#duration, duration(job.duration));
  }

  mark(isChosen) {
    this.#button.ariaCurrent = String(isChosen);
  }
}

function stateOf({ status, stale }) {
  const state = stale ? 'stale' : status;
  return [state, text(`job_${state}`)];
}

/** The error messages of the library; all others are in the language of the job. */
const ERRORS = new Map([
  ['worker lost', 'worker_lost'],
  ['the worker stopped before finishing', 'worker_stopped'],
  ['the worker was restarted', 'worker_restarted'],
]);

function errorOf({ error_message: error }) {
  return ERRORS.has(error) ? text(ERRORS.get(error)) : (error ?? '');
}

/** The table of the jobs, newest first. */
export class HistoryTable {
  #body = document.querySelector('#history tbody');
  #older = document.getElementById('older-jobs');
  /** @type {Map<string, HistoryRow>} */
  #rows = new Map();
  #next = null;
  #chosen = '';
  #onChoose;
  #isFollowed;
  #onRecord;

  /** @param {{ onChoose: Function, isFollowed: Function, onRecord: Function }} listeners */
  constructor({ onChoose, isFollowed, onRecord }) {
    this.#onChoose = onChoose;
    this.#isFollowed = isFollowed;
    this.#onRecord = onRecord;
    this.refresh = paced(() => this.#readNewest());
    const readOlder = paced(() => this.#readOlder());
    this.#older.addEventListener('click', () => readOlder());
    const readActive = paced(() => this.#readActive());
    setInterval(() => readActive(), LOOK_INTERVAL);
  }

  /** Shows a record that a bar has received. */
  note(job) {
    this.#rows.get(job.job_id)?.show(job);
  }

  choose(jobId) {
    this.#chosen = jobId;
    for (const [id, row] of this.#rows) row.mark(id === jobId);
  }

  async #readNewest() {
    const { jobs, next } = await requestJson(`progress?limit=${HISTORY_LENGTH}`);
    // On the first read, or if jobs may be missing in between, starts over.
    if (!jobs.some(({ job_id: id }) => this.#rows.has(id))) {
      this.#rows.clear();
      this.#body.replaceChildren();
      this.#offerOlder(next);
    }
    this.#place(jobs, 0);
  }

  async #readOlder() {
    const query = new URLSearchParams({ limit: HISTORY_LENGTH, cursor: this.#next });
    const { jobs, next } = await requestJson(`progress?${query}`);
    this.#place(jobs, this.#body.rows.length);
    this.#offerOlder(next);
  }

  /** Reads the active jobs that have no bar. They need not be among the newest. */
  async #readActive() {
    if (document.hidden) return;
    const jobs = [...this.#rows.values()].map(({ job }) => job);
    const ids = jobs
      .filter((job) => !hasEnded(job) && !this.#isFollowed(job.job_id))
      .map(({ job_id: id }) => id);
    while (ids.length) {
      const found = await requestJson(`progress?ids=${ids.splice(0, MOST_IDS)}`);
      for (const job of found.jobs) this.#onRecord(job);
    }
  }

  #place(jobs, start) {
    for (const [index, job] of jobs.entries()) {
      const { node } = this.#rowOf(job);
      const present = this.#body.rows[start + index] ?? null;
      if (present !== node) this.#body.insertBefore(node, present);
    }
  }

  #rowOf(job) {
    let row = this.#rows.get(job.job_id);
    if (row) row.show(job);
    else {
      row = new HistoryRow(job, this.#onChoose);
      row.mark(job.job_id === this.#chosen);
      this.#rows.set(job.job_id, row);
    }
    return row;
  }

  #offerOlder(next) {
    this.#next = next;
    this.#older.hidden = next === null;
  }
}
