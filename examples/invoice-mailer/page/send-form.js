// The form that starts a job.

import { setText } from './elements.js';
import { paced } from './pacing.js';
import { requestJson } from './requests.js';

/** How long an error is shown at least, in milliseconds. */
const READING_TIME = 5000;

/** Starts jobs. Several may run at once, so the button is disabled only during the request. */
export class SendForm {
  #form = document.getElementById('send-form');
  #button = this.#form.querySelector('button');
  #error = document.getElementById('send-error');
  /** The error that is shown, if any. */
  #failure = null;
  #onChange;
  #timer;
  #lookAgain = paced(() => this.#look());

  /** @param {{ onChange: Function }} listeners called when there may be another job */
  constructor({ onChange }) {
    this.#onChange = onChange;
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
      await requestJson('invoices/send', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ count: this.#form.elements.count.valueAsNumber }),
      });
      this.#onChange();
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

  /** Clears a transient error as soon as the server responds again. */
  async #look() {
    const failure = this.#failure;
    if (!failure?.isPassing) return;
    await requestJson('progress?limit=1');
    if (this.#failure === failure) this.#show(null);
    // It may have started the job in spite of the error.
    this.#onChange();
  }
}
