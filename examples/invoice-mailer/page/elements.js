// Elements, and the words in them. Texts of the server become text nodes only, so that no title, customer or error
// message can ever become markup.

export const LANGUAGE = document.documentElement.lang;

export function create(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Writes only what differs, so that a row which has not changed costs nothing and keeps the reader's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const numberFormat = new Intl.NumberFormat(LANGUAGE);
export const timeFormat = new Intl.DateTimeFormat(LANGUAGE, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
export const number = (value) => numberFormat.format(value ?? 0);

/** `7.4` → "7.4 s", `83` → "1 min 23 s", `7384` → "2 h 3 min". */
export function duration(seconds) {
  if (typeof seconds !== 'number') return '–';
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function timeElement(moment) {
  return create('time', { dateTime: moment }, timeFormat.format(new Date(moment)));
}

/** A state in a word, which the style sheet colours as well. */
export function showState(node, state, word = state) {
  node.dataset.state = state;
  setText(node, word);
}

/** An e-mail address that is broken before its "@" rather than anywhere. */
export function breakable(address) {
  const [first, ...others] = address.split(/(?=@)/);
  return [first, ...others.flatMap((part) => [create('wbr'), part])];
}

export const titleOf = (job) => job.custom_title ?? 'Job';
export const hasEnded = (job) => ['completed', 'failed', 'cancelled'].includes(job?.status);
