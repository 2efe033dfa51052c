// The page of invoices: starts jobs, and shows their bars, the outcome of each invoice, and the
// history of jobs.
//
// The widget (the element progress-poller, which the server mounts beside the records) polls the
// jobs. The page's own requests may fail while the server restarts; the page then shows a notice
// and retries.

import { Bars } from './bars.js';
import { setText } from './elements.js';
import { HistoryTable } from './history.js';
import { InvoiceTable } from './invoices.js';
import { notice, paced } from './pacing.js';
import { requestJson } from './requests.js';
import { SendForm } from './send-form.js';
import { text } from './words.js';

/** How long an ended job still gets a bar when the page opens, in milliseconds. */
const RECENT = 10 * 60 * 1000;

class Page {
  /** The job whose invoices are shown. */
  #chosen = '';
  #invoices = new InvoiceTable();
  #history = new HistoryTable({
    onChoose: (job) => this.#visit(job),
    isFollowed: (jobId) => this.#bars.has(jobId),
    onRecord: (record) => this.#note(record),
  });
  #bars = new Bars({
    onRecord: (record) => this.#note(record),
    onSettled: () => this.#history.refresh(),
    onChoose: (jobId, record) => {
      this.#choose(jobId, record);
      this.#invoices.focus();
    },
  });

  async open() {
    new SendForm({ onStarted: (jobId) => this.#started(jobId), onReturn: () => this.#returned() });
    // The bars first, so that they do not move the content below them on a small screen.
    await paced(() => this.#restore())();
    this.#history.refresh();
    this.#invoices.refresh();
    // Other tabs may have started jobs.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#history.refresh();
    });
  }

  /** Restores the bars of the active jobs or, if there are none, of a job that ended recently. */
  async #restore() {
    const { jobs } = await requestJson('progress/active?limit=100');
    const shown = jobs.length ? jobs : await this.#recent();
    // Each bar is added above the previous ones.
    for (const job of shown.toReversed()) this.#bars.follow(job.job_id, job);
    this.#bars.showWhetherEmpty();
    // Not if a new job was started in the meantime.
    if (shown.length && !this.#chosen) this.#choose(shown[0].job_id, shown[0]);
  }

  async #recent() {
    const { jobs } = await requestJson('progress?limit=1');
    return jobs.filter((job) => Date.now() - Date.parse(job.completed_at) < RECENT);
  }

  #started(jobId) {
    this.#bars.follow(jobId);
    this.#choose(jobId);
    this.#history.refresh();
  }

  /** Polls at once after an outage. The server may have started the job in spite of the error. */
  #returned() {
    this.#bars.refresh();
    this.#history.refresh({ urgent: true });
  }

  #visit(job) {
    this.#bars.visit(job);
    this.#choose(job.job_id, job);
  }

  /** Shows a job's invoices. A new job has no record yet; its bar delivers one. */
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

// Without the widget the form still works as a plain HTML form.
if (customElements.get('progress-poller')) new Page().open();
else setText(notice.node, text('not_loaded'));
