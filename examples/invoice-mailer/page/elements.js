// Creates elements and formats values. Texts of the server only become text nodes, so that no
// title, customer or error message can become markup.

import { LANGUAGE } from './words.js';

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
export const number = (value) => numberFormat.format(value ?? 0);
export const amount = (cents) => amountFormat.format(cents / 100);

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

/** @param {{ finished: boolean }} job its record */
export const hasEnded = ({ finished }) => finished;
