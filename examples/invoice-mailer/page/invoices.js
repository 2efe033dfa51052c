// The table of the invoices of a job, with the outcome of each.

import { amount, breakable, create, hasEnded, setText, showState } from './elements.js';
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
  if (isWaiting(delivery) && job.status === 'cancelled') return text('invoice_not_sent');
  if (isWaiting(delivery) && job.status === 'failed') return text('invoice_no_record');
  return text(`invoice_${delivery.outcome}`);
}

/** A row, which shows one invoice after the other: errors are found in any order. */
class InvoiceRow {
  #reference = create('th', { scope: 'row' });
  #customer = create('bdi');
  #email = create('span');
  #detail = create('span', { className: 'detail', dir: 'auto' });
  #amount = create('td', { className: 'number' });
  #state = create('span', { className: 'tag' });

  constructor() {
    this.node = create(
      'tr',
      {},
      this.#reference,
      create('td', { className: 'customer' }, this.#customer),
      create('td', { className: 'address' }, this.#email, this.#detail),
      this.#amount,
      create('td', { className: 'state' }, this.#state),
    );
  }

  show(invoice, job) {
    const { reference, customer, email, amount_cents: cents, outcome, detail } = invoice;
    if (this.#reference.textContent !== reference) {
      this.#reference.textContent = reference;
      this.#customer.textContent = customer;
      this.#email.replaceChildren(...breakable(email));
      this.#amount.textContent = amount(cents);
    }
    showState(this.#state, outcome, outcomeWord(invoice, job));
    setText(this.#detail, detail);
  }
}

/** The table of invoices, in blocks of the length that the server returns. */
export class InvoiceTable {
  /** The latest record of the job. */
  #job;
  #onlyErrors;
  #table;
  #body;
  #more;
  /** @type {{ from: number, rows: InvoiceRow[], settled: boolean }[]} */
  #blocks = [{ from: 1, rows: [], settled: false }];
  #next = null;
  #refresh = paced(() => this.#read(), ROWS_INTERVAL);

  /** @param {boolean} onlyErrors whether to show only the invoices that could not be sent */
  constructor(onlyErrors) {
    this.#onlyErrors = onlyErrors;
    const template = document.getElementById('invoice-table').content;
    this.node = document.importNode(template, true).firstElementChild;
    this.#table = this.node.querySelector('table');
    [this.#body] = this.#table.tBodies;
    this.#more = this.node.querySelector('button');
    this.#more.addEventListener('click', () => this.#showMore());
    this.#table.ariaBusy = 'true';
  }

  /** Shows a job, or its new record. Its node is in the page. */
  show(job) {
    this.#job = job;
    this.#refresh();
  }

  remove() {
    this.node.remove();
  }

  #showMore() {
    if (this.#next === null) return;
    this.#blocks.push({ from: this.#next, rows: [], settled: false });
    // The response says where the next block starts.
    this.#next = null;
    this.#refresh({ urgent: true });
  }

  async #read() {
    const job = this.#job;
    let beyond = false;
    for (const [index, block] of this.#blocks.entries()) {
      if (!this.node.isConnected) return;
      if (block.settled || (block.rows.length && beyond)) continue;
      const query = new URLSearchParams({ from: block.from, errors: this.#onlyErrors });
      const { invoices, next } = await requestJson(`invoices/${job.job_id}?${query}`);
      this.#draw(block, invoices, job);
      const following = this.#blocks[index + 1];
      if (following) following.from = next ?? following.from;
      else this.#offerMore(next);
      // Mails are sent in the order of their numbers, so after a waiting block all others wait.
      beyond = !hasEnded(job) && invoices.every(isWaiting);
    }
    this.#table.ariaBusy = 'false';
  }

  #draw(block, invoices, job) {
    for (const [index, invoice] of invoices.entries()) {
      block.rows[index] ??= new InvoiceRow();
      block.rows[index].show(invoice, job);
    }
    for (const surplus of block.rows.splice(invoices.length)) surplus.node.remove();
    // A row that is there keeps its place, and its selection.
    const before = this.#blocks[this.#blocks.indexOf(block) + 1]?.rows[0]?.node ?? null;
    for (const { node } of block.rows)
      if (!node.isConnected) this.#body.insertBefore(node, before);
    // An invoice that waits may still become an error.
    const isOpen = this.#onlyErrors || invoices.some(isWaiting);
    block.settled = hasEnded(job) || !isOpen;
  }

  #offerMore(next) {
    this.#next = next;
    // If the button had the focus, the table takes it over.
    if (next === null && document.activeElement === this.#more) this.node.focus();
    this.#more.hidden = next === null;
  }
}
