/**
 * Asks the reader whether the site may show notifications, unless they have decided already. Call
 * it when a button is pressed: at other times it does not ask.
 *
 * Returns whether notifications will be shown. It is false if the reader or the browser refuses,
 * on pages without HTTPS, in Chrome on Android, and in Safari on iPhones, unless the site is on the
 * home screen.
 */
export function askForNotifications(): Promise<boolean>;

/**
 * `<progress-notify hidden><button>…</button></progress-notify>`: a click in it calls
 * `askForNotifications`. It is visible only while the browser can still ask.
 */
export class ProgressNotifyElement extends HTMLElement {}

declare global {
  interface HTMLElementTagNameMap {
    'progress-notify': ProgressNotifyElement;
  }
}
