// The form that starts a job.

import { setText } from './elements.js';
import { paced } from './pacing.js';
import { requestJson } from './requests.js';

/** How long an error is there to be read before it may go away by itself, in milliseconds. */
const READING_TIME = 5000;

/** Starts a job; the button rests only while the request is under way, for several jobs may run at once. */
export class SendForm {
  #form = document.getElementById('send-form');
  #button = this.#form.querySelector('button');
  #error = document.getElementById('send-error');
  /** What the error is about, while there is one. */
  #failure = null;
  #onStarted;
  #onReturn;
  #timer;
  #lookAgain = paced(() => this.#look());

  /** @param {{ onStarted: Function, onReturn: Function }} listeners */
  constructor({ onStarted, onReturn }) {
    this.#onStarted = onStarted;
    this.#onReturn = onReturn;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async #send() {
    const hadFocus = document.activeElement === this.#button;
    this.#button.disabled = true;
    clearTimeout(this.#timer);
    this.#show(null);
    try {
      const { job_id: jobId } = await requestJson('/invoices/send', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ count: this.#form.elements.count.valueAsNumber }),
      });
      this.#onStarted(jobId);
    } catch (error) {
      this.#show(error);
      if (error.isPassing) this.#timer = setTimeout(() => this.#lookAgain(), READING_TIME);
    } finally {
      this.#button.disabled = false;
      if (hadFocus) this.#button.focus();
    }
  }

  #show(failure) {
    this.#failure = failure;
    setText(this.#error, failure?.message ?? '');
  }

  /** That the server does not answer is not said any longer than it is so. */
  async #look() {
    const failure = this.#failure;
    if (!failure?.isPassing) return;
    await requestJson('/progress?limit=1');
    if (this.#failure === failure) this.#show(null);
    this.#onReturn();
  }
}
