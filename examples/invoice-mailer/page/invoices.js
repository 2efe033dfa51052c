// The table of invoices, with the outcome of each in one job.

import {
  amount,
  breakable,
  create,
  hasEnded,
  number,
  setText,
  showState,
  timeFormat,
  titleOf,
} from './elements.js';
import { paced } from './pacing.js';
import { requestJson } from './requests.js';
import { text } from './words.js';

/** The shortest interval between two updates of the rows, in milliseconds. */
const ROWS_INTERVAL = 1000;

const isWaiting = ({ outcome }) => outcome === 'waiting';

/**
 * Returns the word for an outcome. When the job has ended, no invoice is waiting: after a
 * cancellation the rest was not sent; after a failure it is unknown, because mails that were being
 * sent may have arrived.
 */
function outcomeWord(delivery, job) {
  if (isWaiting(delivery) && job?.status === 'cancelled') return text('invoice_not_sent');
  if (isWaiting(delivery) && job?.status === 'failed') return text('invoice_no_record');
  return text(`invoice_${delivery.outcome}`);
}

/** The row of one invoice, with its outcome in the job that is shown. */
class InvoiceRow {
  #detail = create('span', { className: 'detail', dir: 'auto' });
  #state = create('span', { className: 'tag' });

  constructor({ reference, customer, email, amount_cents: cents }) {
    this.node = create(
      'tr',
      {},
      create('th', { scope: 'row' }, reference),
      create('td', { className: 'customer' }, create('bdi', {}, customer)),
      create('td', { className: 'address' }, ...breakable(email), this.#detail),
      create('td', { className: 'number' }, amount(cents)),
      create('td', { className: 'state' }, this.#state),
    );
  }

  show(delivery, job) {
    showState(this.#state, delivery.outcome, outcomeWord(delivery, job));
    setText(this.#detail, delivery.detail);
  }
}

function invoicesUrl(job, from) {
  const query = new URLSearchParams({ from });
  if (job) query.set('job', job.job_id);
  if (job?.total_items) query.set('total', job.total_items);
  return `invoices?${query}`;
}

/**
 * The table of invoices, in blocks of the length that the server returns. A number means the same
 * invoice in every job: another job changes only the outcomes, and the rows stay.
 */
export class InvoiceTable {
  /** The record of the job that is shown, if any. */
  #job = null;
  #box = document.getElementById('invoices-box');
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

  /** Shows a job, or its new record. */
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
    // Until the response comes, the rows show the previous job.
    this.#table.ariaBusy = 'true';
  }

  focus() {
    this.#box.focus();
  }

  #showMore() {
    if (this.#next === null) return;
    this.#blocks.push({ from: this.#next, rows: [], settled: false });
    // The response says where the next block starts.
    this.#next = null;
    this.refresh({ urgent: true });
  }

  async #read() {
    const job = this.#job;
    let beyond = false;
    for (const block of this.#blocks) {
      if (block.rows.length && (block.settled || beyond)) continue;
      const { invoices, next } = await requestJson(invoicesUrl(job, block.from));
      // Another job was chosen during the request; it is read next.
      if (this.#job?.job_id !== job?.job_id) return;
      this.#draw(block, invoices, job);
      if (block === this.#blocks.at(-1)) this.#offerMore(next);
      // Mails are sent in the order of their numbers, so after a waiting block all others wait.
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
    // If the button had the focus, the table takes it over.
    if (next === null && document.activeElement === this.#more) this.focus();
    this.#more.hidden = next === null;
  }

  #describe(job) {
    const words = job
      ? `${titleOf(job)}, ${timeFormat.format(new Date(job.created_at))}`
      : text('waiting_to_be_sent');
    setText(this.#table.caption, words);
    this.#table.ariaBusy = 'false';
  }
}
