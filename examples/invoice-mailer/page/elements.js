// Elements, and the words in them. Texts of the server become text nodes only, so that no title, customer or error
// message can ever become markup.

import { LANGUAGE, text } from './words.js';

export function create(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Writes only what differs, so that a row which has not changed costs nothing and keeps the reader's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const numberFormat = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
const amountFormat = new Intl.NumberFormat(LANGUAGE, { style: 'currency', currency: 'EUR' });
export const timeFormat = new Intl.DateTimeFormat(LANGUAGE, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
});
export const number = (value) => numberFormat.format(value ?? 0);
export const amount = (cents) => amountFormat.format(cents / 100);

/** What has passed in full, as a bar says it: `0.42` → "0.4 s", `83.7` → "1 min 23 s", `7384` → "2 h 3 min". */
export function duration(seconds) {
  if (typeof seconds !== 'number') return '–';
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const parts = [
    minutes >= 60 && text('hours', { number: number(Math.floor(minutes / 60)) }),
    minutes % 60 && text('minutes', { number: minutes % 60 }),
    minutes < 60 && (whole % 60 || !minutes) && text('seconds', { number: number(whole % 60 || seconds) }),
  ];
  return parts.filter(Boolean).join(' ');
}

export function timeElement(moment) {
  return create('time', { dateTime: moment }, timeFormat.format(new Date(moment)));
}

/** A state in a word, which the style sheet colours as well. */
export function showState(node, state, word) {
  node.dataset.state = state;
  setText(node, word);
}

/** An e-mail address that is broken before its "@" rather than anywhere. */
export function breakable(address) {
  const [first, ...others] = address.split(/(?=@)/);
  return [first, ...others.flatMap((part) => [create('wbr'), part])];
}

/** A job that nobody has named is called what it does, in the reader's language. */
export const titleOf = (job) => job.custom_title ?? text('job_title');
export const hasEnded = (job) => ['completed', 'failed', 'cancelled'].includes(job?.status);
