// The page of the invoices: starts jobs, shows their bars, what became of each invoice, and the jobs of the past.
//
// The widget (the element progress-poller, served beside the records) asks how far a job has come. Whatever this page asks
// besides may fail while the server restarts; it then says so and asks again.

import { Bars } from './bars.js';
import { setText } from './elements.js';
import { HistoryTable } from './history.js';
import { InvoiceTable } from './invoices.js';
import { notice, paced } from './pacing.js';
import { requestJson } from './requests.js';
import { SendForm } from './send-form.js';
import { text } from './words.js';

/** A job that ended longer ago than this is history: the page opens without its bar. */
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
    // The bars first: what stands below them on a small screen shall not move when they come.
    await paced(() => this.#restore())();
    this.#history.refresh();
    this.#invoices.refresh();
    // Other tabs start jobs too.
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#history.refresh();
    });
  }

  /** Brings back the bars of the jobs that run; else the one that has ended just now. */
  async #restore() {
    const { jobs } = await requestJson('/progress/active?limit=100');
    const shown = jobs.length ? jobs : await this.#recent();
    // Each bar goes above the ones before.
    for (const job of shown.toReversed()) this.#bars.follow(job.job_id, job);
    this.#bars.showWhetherEmpty();
    // Whoever has pressed the button in the meantime wants to see the new job.
    if (shown.length && !this.#chosen) this.#choose(shown[0].job_id, shown[0]);
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

  /** The server is back: what waits for it need not wait any longer. Perhaps it has started the job all the same. */
  #returned() {
    this.#bars.refresh();
    this.#history.refresh({ urgent: true });
  }

  #visit(job) {
    this.#bars.visit(job);
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
if (customElements.get('progress-poller')) new Page().open();
else setText(notice.node, text('not_loaded'));
