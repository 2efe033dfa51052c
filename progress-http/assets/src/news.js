/** The bars of jobs that have not ended: each is the place of a widget. @type {Set<any>} */
const places = new Set();

/** The states after which a bar says nothing more. */
const OVER = ['completed', 'failed', 'cancelled', 'lost'];

/** Milliseconds until the bars are looked at again: not every change has an event. */
const PAUSE = 1000;

/** What stands before the title of the page. */
let prefix = '';
/** @type {{ text: string, isBad: boolean } | undefined} an end that the reader has not seen */
let unseen;
/** @type {Notification[]} the notifications of this page */
let shown = [];
let isScheduled = false;
/** @type {any} */
let timer;

/**
 * Returns a part of a widget. It contains what the widget says, in the language of the widget.
 *
 * @param {any} place
 * @param {string} selector
 * @returns {any} null if the widget has been removed
 */
const partOf = (place, selector) =>
  place.querySelector(selector) ?? place.shadowRoot?.querySelector(selector);

/**
 * @param {any} place
 * @param {string} name
 * @returns {string}
 */
const textOf = (place, name) => partOf(place, `.progress-polling-${name}`)?.textContent ?? '';

/** @param {any} place */
const stateOf = (place) => partOf(place, '.progress-polling')?.dataset.state;

/** Shows in the title how far the job is that is least far, or how a job has ended. */
function draw() {
  isScheduled = false;
  clearTimeout(timer);
  let text = '';
  let least = Infinity;
  for (const place of places) {
    const state = stateOf(place);
    if (!state || OVER.includes(state)) places.delete(place);
    else {
      // An unknown percentage is the least.
      const { percent: digits } = partOf(place, '.progress-polling-progress').dataset;
      const percent = Number(digits || -1);
      const word = textOf(place, state === 'running' && percent >= 0 ? 'percent' : 'badge');
      if (percent < least) [least, text] = [percent, word];
    }
  }
  if (unseen && (unseen.isBad || !text)) text = unseen.text;
  // The page may have changed its title, and may have kept the prefix in it. The space is for an
  // empty title, because `document.title` is without the one at the end of the prefix.
  const own = `${document.title} `.replace(prefix, '').slice(0, -1);
  // White space as `document.title` returns it.
  prefix = text && `(${text.replace(/\s+/g, ' ')}) `;
  if (document.title !== prefix + own) document.title = prefix + own;
  if (places.size) timer = setTimeout(draw, PAUSE);
}

/** @param {any} event of a widget */
function hear({ type, target, detail }) {
  const state = stateOf(target);
  // A failure has had a `progress` event before, as has a bar that the page does not leave out.
  if (/error/.test(type) && !(state === 'lost' && places.has(target))) return;
  places.add(target);
  // Not if the job had ended before the page was opened.
  if (OVER.includes(state) && !detail.meta.initial && document.hidden) {
    const isBad = /failed|lost/.test(state);
    if (!unseen?.isBad) unseen = { text: textOf(target, 'badge'), isBad };
    notify(target);
  }
  // Bars that share a request are told one after the other.
  if (!isScheduled) queueMicrotask(draw);
  isScheduled = true;
}

/** @param {any} place */
function notify(place) {
  if (globalThis.Notification?.permission !== 'granted') return;
  const badge = textOf(place, 'badge');
  const line = textOf(place, 'alert') || textOf(place, 'message');
  // "Completed (12 s)" needs no "Completed" before it.
  const body = line.startsWith(badge) ? line : [badge, line].filter(Boolean).join(' – ');
  try {
    const notification = new Notification(textOf(place, 'title'), {
      body,
      // A second window that shows the job replaces the notification by its own.
      tag: `progress-polling ${place.progressPolling.jobId}`,
      lang: partOf(place, '.progress-polling').lang,
    });
    notification.onclick = () => {
      focus();
      notification.close();
    };
    shown.push(notification);
  } catch {
    // On Android, Chrome leaves notifications to service workers. The title tells it all the same.
  }
}

/** The reader has returned. */
function look() {
  if (document.hidden) return;
  unseen = undefined;
  for (const notification of shown) notification.close();
  shown = [];
  draw();
}

/** Whether a page can show a notification in this browser, if it is permitted. */
function isPossible() {
  try {
    // A function cannot be cloned, so this shows nothing. Chrome on Android refuses it earlier.
    new Notification('', { data: () => {} }).close();
    return true;
  } catch (error) {
    return /** @type {Error} */ (error).name === 'DataCloneError';
  }
}

/**
 * Asks the reader whether the site may show notifications, unless they have decided already. Asks
 * only in response to a click or a key.
 *
 * @returns {Promise<boolean>} whether notifications will be shown
 */
export async function askForNotifications() {
  if (!isPossible()) return false;
  const isAsked = globalThis.navigator.userActivation?.isActive !== false;
  const { permission } = Notification;
  return (isAsked ? await Notification.requestPermission() : permission) === 'granted';
}

// Importing this module during server-side rendering, without a DOM, must not fail.
const Base = globalThis.HTMLElement ?? Object;

/**
 * `<progress-notify hidden>`: contains the page's button that asks for the permission, and is
 * visible while there is something to ask.
 */
export class ProgressNotifyElement extends Base {
  connectedCallback() {
    this.hidden = !isPossible() || Notification.permission !== 'default';
    this.onclick = async () => {
      await askForNotifications();
      this.connectedCallback();
    };
  }
}

// A page may load two copies of this script.
if (globalThis.customElements && !customElements.get('progress-notify')) {
  customElements.define('progress-notify', ProgressNotifyElement);
  // Not the events of the ends, because the page may then have put another job into the place. A
  // bar that gives up has only an `error`.
  for (const type of ['progress', 'error']) addEventListener(`progress-polling:${type}`, hear);
  document.addEventListener('visibilitychange', look);
}
