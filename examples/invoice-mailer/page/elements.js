// Creates elements and formats values. Texts of the server only become text nodes, so that no
// title, customer or error message can become markup.

import { LANGUAGE, text } from './words.js';

export function create(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Sets a text if it differs, so that an unchanged row needs no layout and keeps the selection. */
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

/**
 * Formats a duration as the widget does, rounded down: `0.42` → "0.4 s", `83.7` → "1 min 23 s",
 * `7384` → "2 h 3 min".
 */
export function duration(seconds) {
  if (typeof seconds !== 'number') return '–';
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const parts = [
    minutes >= 60 && text('hours', { number: number(Math.floor(minutes / 60)) }),
    minutes % 60 && text('minutes', { number: minutes % 60 }),
    minutes < 60 &&
      (whole % 60 || !minutes) &&
      text('seconds', { number: number(whole % 60 || seconds) }),
  ];
  return parts.filter(Boolean).join(' ');
}

export function timeElement(moment) {
  return create('time', { dateTime: moment }, timeFormat.format(new Date(moment)));
}

/** Shows a state as a word, which the style sheet colours. */
export function showState(node, state, word) {
  node.dataset.state = state;
  setText(node, word);
}

/** Lets an e-mail address wrap before its "@". */
export function breakable(address) {
  const [first, ...others] = address.split(/(?=@)/);
  return [first, ...others.flatMap((part) => [create('wbr'), part])];
}

/** Returns the title of a job; the default is in the reader's language. */
export const titleOf = (job) => job.custom_title ?? text('job_title');
export const hasEnded = (job) => ['completed', 'failed', 'cancelled'].includes(job?.status);
