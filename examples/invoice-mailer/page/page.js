// The page of the invoices: starts jobs, shows their bars, what became of each invoice, and the jobs of the past.
//
// How far a job has come is asked by the widget alone (window.ProgressPolling, served beside the records). Whatever this
// page asks besides may fail while the server restarts; it then says so and asks again. Texts of the server become text
// nodes only, so that no title, customer or error message can ever become markup.

const LANGUAGE = document.documentElement.lang;
const HISTORY_LENGTH = 10;
/** A job that ended longer ago than this is history: the page opens without its bar. */
const RECENT = 10 * 60 * 1000;
/** Rows follow the job, but nobody reads them more often than this, in milliseconds. */
const ROWS_INTERVAL = 1000;
const LONGEST_PAUSE = 15_000;
const REQUEST_TIMEOUT = 10_000;

// ---- Requests ----

/** A request that was not answered as hoped; the message is meant for the reader. */
class RequestError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 when there was no answer that could be read
   */
  constructor(message, status = 0) {
    super(message);
    /** Whether the same request may succeed later. */
    this.isPassing = status === 0 || status === 429 || status >= 500;
  }
}

/** Reads the JSON at an address, or rejects with a `RequestError` that says why not. */
async function requestJson(url, options = {}) {
  let response;
  let body;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT), ...options });
    body = await response.json();
  } catch {
    throw new RequestError(response ? 'The server’s answer could not be read.' : 'The server does not answer.');
  }
  if (!response.ok) throw new RequestError(body?.detail ?? `The server answers ${response.status}.`, response.status);
  return body;
}

/** Says that something cannot be had at the moment, for as long as anything cannot. */
const notice = {
  node: document.getElementById('notice'),
  failing: new Set(),
  update(task, fails) {
    if (fails) this.failing.add(task);
    else this.failing.delete(task);
    setText(this.node, this.failing.size ? 'The server does not answer. Trying again…' : '');
  },
};

/**
 * Makes a function that asks for `task` to be run: never twice at once, with a rest in between, once more when asked
 * meanwhile, and again and again, ever more slowly, while it fails. Who is in a hurry cuts the rest short.
 */
function paced(task, rest = 0) {
  let wanted = false;
  let busy = false;
  let failures = 0;
  let wake = () => {};

  const pause = (milliseconds) => new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, milliseconds);
  });

  async function attempt() {
    try {
      await task();
      failures = 0;
    } catch (error) {
      // A mistake is not mended by asking again.
      if (!error.isPassing) return reportError(error);
      failures += 1;
      wanted = true;
    } finally {
      notice.update(task, failures > 0);
    }
  }

  return async function ask({ urgent = false } = {}) {
    wanted = true;
    if (urgent) wake();
    if (busy) return;
    busy = true;
    while (wanted) {
      wanted = false;
      await attempt();
      await pause(failures ? Math.min(LONGEST_PAUSE, 500 * 2 ** failures) : rest);
    }
    busy = false;
  };
}

// ---- Elements and words ----

function create(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Writes only what differs, so that a row which has not changed costs nothing and keeps the reader's selection. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const numberFormat = new Intl.NumberFormat(LANGUAGE);
const timeFormat = new Intl.DateTimeFormat(LANGUAGE, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
const number = (value) => numberFormat.format(value ?? 0);

/** `7.4` → "7.4 s", `83` → "1 min 23 s", `7384` → "2 h 3 min". */
function duration(seconds) {
  if (typeof seconds !== 'number') return '–';
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function timeElement(moment) {
  return create('time', { dateTime: moment }, timeFormat.format(new Date(moment)));
}

/** A state in a word, which the style sheet colours as well. */
function showState(node, state, word = state) {
  node.dataset.state = state;
  setText(node, word);
}

/** An e-mail address that is broken before its "@" rather than anywhere. */
function breakable(address) {
  const [first, ...others] = address.split(/(?=@)/);
  return [first, ...others.flatMap((part) => [create('wbr'), part])];
}

const titleOf = (job) => job.custom_title ?? 'Job';
const hasEnded = (job) => ['completed', 'failed', 'cancelled'].includes(job?.status);

// ---- The invoices ----

/** One invoice in the table, and what became of it in the job that is shown. */
class InvoiceRow {
  #detail = create('span', { className: 'detail', dir: 'auto' });
  #state = create('span', { className: 'tag' });

  constructor({ reference, customer, email, amount }) {
    this.node = create(
      'tr',
      {},
      create('th', { scope: 'row' }, reference),
      create('td', { className: 'customer' }, create('bdi', {}, customer)),
      create('td', { className: 'address' }, ...breakable(email), this.#detail),
      create('td', { className: 'number' }, amount),
      create('td', { className: 'state' }, this.#state),
    );
  }

  show({ outcome, detail }, job) {
    showState(this.#state, outcome, isWaiting({ outcome }) ? waitingWord(job) : outcome);
    setText(this.#detail, detail);
  }
}

const isWaiting = ({ outcome }) => outcome === 'waiting';

/**
 * Nothing waits for a job that has ended. After a cancellation the rest was not sent; after a failure nobody can tell: the
 * mails that were under way may have arrived.
 */
function waitingWord(job) {
  if (job?.status === 'cancelled') return 'not sent';
  if (job?.status === 'failed') return 'no record';
  return 'waiting';
}

function invoicesUrl(job, from) {
  const query = new URLSearchParams({ from });
  if (job) query.set('job', job.job_id);
  if (job?.total_items) query.set('total', job.total_items);
  return `/invoices?${query}`;
}

/**
 * The table of the invoices, in blocks as long as the server makes them. The same number is the same invoice in every job:
 * another job only changes what became of it, and rows stay where they are.
 */
class InvoiceTable {
  /** The record of the job that is shown, if any. */
  #job = null;
  #table = document.getElementById('invoices');
  #body = this.#table.tBodies[0];
  #more = document.getElementById('more-invoices');
  /** @type {{ from: number, rows: InvoiceRow[], settled: boolean }[]} */
  #blocks = [{ from: 1, rows: [], settled: false }];
  #next = null;

  constructor() {
    this.refresh = paced(() => this.#read(), ROWS_INTERVAL);
    this.#more.addEventListener('click', () => this.#showMore());
  }

  /** Shows a job, or what is new about it. */
  show(job) {
    const isOther = job.job_id !== this.#job?.job_id;
    this.#job = job;
    if (isOther) this.#startOver();
    this.refresh({ urgent: isOther });
  }

  #startOver() {
    const [first, ...others] = this.#blocks;
    for (const row of others.flatMap(({ rows }) => rows)) row.node.remove();
    this.#blocks = [{ ...first, settled: false }];
    // What is shown until the answer comes belongs to the other job.
    this.#table.ariaBusy = 'true';
  }

  #showMore() {
    this.#blocks.push({ from: this.#next, rows: [], settled: false });
    this.#more.disabled = true;
    this.refresh({ urgent: true });
  }

  async #read() {
    const job = this.#job;
    let beyond = false;
    for (const block of this.#blocks) {
      if (block.rows.length && (block.settled || beyond)) continue;
      const { invoices, next } = await requestJson(invoicesUrl(job, block.from));
      // Another job was chosen while the answer was under way; its own turn is next.
      if (this.#job?.job_id !== job?.job_id) return;
      this.#draw(block, invoices, job);
      if (block === this.#blocks.at(-1)) this.#offerMore(next);
      // Mails go out in the order of their numbers: after a block that only waits there is nothing new.
      beyond = !hasEnded(job) && invoices.every(isWaiting);
    }
    this.#describe(job);
  }

  #draw(block, invoices, job) {
    for (const [index, invoice] of invoices.entries()) {
      block.rows[index] ??= this.#append(new InvoiceRow(invoice));
      block.rows[index].show(invoice, job);
    }
    for (const surplus of block.rows.splice(invoices.length)) surplus.node.remove();
    block.settled = hasEnded(job) || !invoices.some(isWaiting);
  }

  #append(row) {
    this.#body.append(row.node);
    return row;
  }

  #offerMore(next) {
    this.#next = next;
    this.#more.disabled = false;
    this.#more.hidden = next === null;
  }

  #describe(job) {
    const words = job ? `${titleOf(job)}, ${timeFormat.format(new Date(job.created_at))}` : 'Waiting to be sent.';
    setText(this.#table.caption, words);
    this.#table.ariaBusy = 'false';
  }
}

// ---- The history ----

/** A job of the past, or of the present. */
class HistoryRow {
  job = null;
  #button = create('button', { type: 'button', className: 'choose', dir: 'auto' });
  #error = create('span', { className: 'detail', dir: 'auto' });
  #state = create('span', { className: 'tag' });
  #done = create('td', { className: 'number done' });
  #errors = create('td', { className: 'number errors' });
  #duration = create('td', { className: 'number duration' });

  constructor(job, onChoose) {
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
    // A list may be older than what the bar has brought meanwhile.
    if (job.version < this.job?.version) return;
    this.job = job;
    setText(this.#button, titleOf(job));
    setText(this.#error, job.error_message ?? '');
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
  if (stale) return ['stale', 'not responding'];
  if (status === 'pending') return ['pending', 'waiting'];
  return [status];
}

/** The table of the jobs, newest first. */
class HistoryTable {
  #body = document.querySelector('#history tbody');
  #older = document.getElementById('older-jobs');
  /** @type {Map<string, HistoryRow>} */
  #rows = new Map();
  #next = null;
  #chosen = '';
  #onChoose;

  constructor(onChoose) {
    this.#onChoose = onChoose;
    this.refresh = paced(() => this.#readNewest());
    const readOlder = paced(() => this.#readOlder());
    this.#older.addEventListener('click', () => readOlder());
  }

  /** What a bar has brought is news for the history as well. */
  note(job) {
    this.#rows.get(job.job_id)?.show(job);
  }

  choose(jobId) {
    this.#chosen = jobId;
    for (const [id, row] of this.#rows) row.mark(id === jobId);
  }

  async #readNewest() {
    const { jobs, next } = await requestJson(`/progress?limit=${HISTORY_LENGTH}`);
    // The first time, or so much has happened that there may be a gap: begin afresh.
    if (!jobs.some(({ job_id: id }) => this.#rows.has(id))) {
      this.#rows.clear();
      this.#body.replaceChildren();
      this.#offerOlder(next);
    }
    this.#place(jobs, 0);
  }

  async #readOlder() {
    const query = new URLSearchParams({ limit: HISTORY_LENGTH, cursor: this.#next });
    const { jobs, next } = await requestJson(`/progress?${query}`);
    this.#place(jobs, this.#body.rows.length);
    this.#offerOlder(next);
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

// ---- The bars ----

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
class Bars {
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
    this.tell();
  }

  visit(jobId) {
    if (this.#bars.has(jobId)) return;
    this.#remove(this.#visitor);
    this.#visitor = jobId;
    this.follow(jobId);
  }

  choose(jobId) {
    for (const [id, bar] of this.#bars) bar.mark(id === jobId);
  }

  /** Says so when there is nothing to see. */
  tell() {
    setText(this.#empty, this.#bars.size ? '' : 'No job is running.');
  }

  #dismiss(jobId) {
    this.#remove(jobId);
    // The button that had the focus is gone.
    this.#place.focus();
    this.tell();
  }

  #remove(jobId) {
    this.#bars.get(jobId)?.remove();
    this.#bars.delete(jobId);
  }
}

// ---- The form ----

/** Starts a job; the button rests only while the request is under way, for several jobs may run at once. */
class SendForm {
  #form = document.getElementById('send-form');
  #button = this.#form.querySelector('button');
  #error = document.getElementById('send-error');
  #onStarted;

  constructor(onStarted) {
    this.#onStarted = onStarted;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async #send() {
    this.#button.disabled = true;
    setText(this.#error, '');
    try {
      const { job_id: jobId } = await requestJson('/invoices/send', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ count: this.#form.elements.count.valueAsNumber }),
      });
      this.#onStarted(jobId);
    } catch (error) {
      setText(this.#error, error.message);
    } finally {
      this.#button.disabled = false;
    }
  }
}

// ---- The page ----

class Page {
  /** The job whose invoices are shown. */
  #chosen = '';
  #invoices = new InvoiceTable();
  #history = new HistoryTable((job) => this.#visit(job));
  #bars = new Bars({
    onRecord: (record) => this.#note(record),
    onSettled: () => this.#history.refresh(),
    onChoose: (jobId, record) => this.#choose(jobId, record),
  });

  async open() {
    new SendForm((jobId) => this.#started(jobId));
    // The bars first: what stands below them on a small screen shall not move when they come.
    await paced(() => this.#restore())();
    this.#history.refresh();
    this.#invoices.refresh();
    document.addEventListener('visibilitychange', () => document.hidden || this.#history.refresh());
  }

  /** Brings back the bars of the jobs that run; else the one that has ended just now. */
  async #restore() {
    const { jobs } = await requestJson('/progress/active');
    const shown = jobs.length ? jobs : await this.#recent();
    // Each bar goes above the ones before.
    for (const { job_id: jobId } of shown.toReversed()) this.#bars.follow(jobId);
    this.#bars.tell();
    if (shown.length) this.#choose(shown[0].job_id, shown[0]);
  }

  async #recent() {
    const { jobs } = await requestJson('/progress?limit=1');
    return jobs.filter((job) => Date.now() - Date.parse(job.completed_at) < RECENT);
  }

  #started(jobId) {
    this.#bars.follow(jobId);
    this.#choose(jobId);
    this.#history.refresh();
  }

  #visit(job) {
    this.#bars.visit(job.job_id);
    this.#choose(job.job_id, job);
  }

  /** A job that was started just now has no record yet; its bar brings one. */
  #choose(jobId, record = null) {
    this.#chosen = jobId;
    this.#bars.choose(jobId);
    this.#history.choose(jobId);
    if (record) this.#invoices.show(record);
  }

  #note(record) {
    this.#history.note(record);
    if (record.job_id === this.#chosen) this.#invoices.show(record);
  }
}

// Without the widget the form still works, as a form.
if (window.ProgressPolling) new Page().open();
else setText(notice.node, 'Part of this page could not be loaded. Please load it again.');
