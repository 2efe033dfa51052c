// What the page adds to an open job: its invoices, its errors, and a button that sends what was not
// sent.

import { create, hasEnded, number, setText } from './elements.js';
import { InvoiceTable } from './invoices.js';
import { requestJson } from './requests.js';
import { counted, text } from './words.js';

/** The invoices of one job, below its widget. */
export class JobDetails {
  #job;
  #onStarted;
  /** Whether its invoices were sent again. */
  #isAgain = false;
  #errors = create('button', { type: 'button', ariaExpanded: 'false' });
  #invoices = create('button', { type: 'button', ariaExpanded: 'false' }, text('show_invoices'));
  #download = create('a', { className: 'button', download: '' }, text('download_errors'));
  #again = create('button', { type: 'button' });
  #message = create('p', { className: 'form-error', role: 'alert' });
  #note = create('p', { className: 'muted', role: 'status', tabIndex: -1 });
  /** @type {InvoiceTable | null} the table that is shown */
  #table = null;

  /**
   * @param {{ data: object, poller: EventTarget }} opened the record and the widget of the job
   * @param {Function} onStarted called when another job was started
   */
  constructor({ data, poller }, onStarted) {
    this.#onStarted = onStarted;
    this.#download.href = `invoices/${data.job_id}/errors.csv`;
    this.#errors.addEventListener('click', () => this.#toggle(this.#errors, true));
    this.#invoices.addEventListener('click', () => this.#toggle(this.#invoices, false));
    this.#again.addEventListener('click', () => this.#sendAgain());
    const actions = [this.#errors, this.#invoices, this.#download, this.#again];
    this.node = create(
      'div',
      { className: 'job' },
      create('div', { className: 'job-actions' }, ...actions),
      this.#message,
      this.#note,
    );
    this.#show(data);
    poller.addEventListener('progress', () => this.#show(poller.snapshot));
  }

  #show(job) {
    this.#job = job;
    const { failed_items: errors, status, success_count: sent, total_items: total } = job;
    const unsent = total - sent;
    this.#errors.hidden = !errors;
    this.#download.hidden = !errors;
    setText(this.#errors, counted('errors', errors, { number: number(errors) }));
    this.#again.hidden = this.#isAgain || !hasEnded(job) || !unsent;
    // After a cancellation, the job has not even tried most of them.
    const action = status === 'completed' ? 'send_again' : 'send_rest';
    setText(this.#again, counted(action, unsent, { number: number(unsent) }));
    this.#table?.show(job);
  }

  /** Shows all invoices below the buttons, or only the errors; or nothing again. */
  #toggle(button, onlyErrors) {
    const isOpen = button.ariaExpanded === 'true';
    this.#table?.remove();
    this.#table = null;
    for (const other of [this.#errors, this.#invoices]) other.ariaExpanded = 'false';
    if (isOpen) return;
    button.ariaExpanded = 'true';
    this.#table = new InvoiceTable(onlyErrors);
    this.node.append(this.#table.node);
    this.#table.show(this.#job);
  }

  async #sendAgain() {
    this.#again.disabled = true;
    setText(this.#message, '');
    try {
      const url = `invoices/${this.#job.job_id}/again`;
      const { new: isNew } = await requestJson(url, { method: 'POST' });
      this.#isAgain = true;
      setText(this.#note, text(isNew ? 'sent_again' : 'was_sent_again'));
      // The button, which has the focus, disappears.
      this.#note.focus();
      this.#onStarted();
    } catch (error) {
      setText(this.#message, error.message);
    }
    this.#again.disabled = false;
    this.#show(this.#job);
  }
}
