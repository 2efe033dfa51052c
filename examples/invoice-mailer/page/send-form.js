// The form that starts a job.

import { setText } from './elements.js';
import { requestJson } from './requests.js';

/** Starts a job; the button rests only while the request is under way, for several jobs may run at once. */
export class SendForm {
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
    const hadFocus = document.activeElement === this.#button;
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
      if (hadFocus) this.#button.focus();
    }
  }
}
