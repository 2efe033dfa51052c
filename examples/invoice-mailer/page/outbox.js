// The page of the mails that the built-in catcher has caught. Their contents are untrusted and only
// become text nodes.

import { breakable, create, number, setText } from './elements.js';
import { counted, LANGUAGE, text } from './words.js';

const INTERVAL = 2000;
const REQUEST_TIMEOUT = 10_000;

const table = document.getElementById('messages');
const [body] = table.tBodies;
const summary = document.getElementById('summary');
const notice = document.getElementById('notice');

const byteFormat = new Intl.NumberFormat(LANGUAGE, {
  style: 'unit',
  unit: 'byte',
  unitDisplay: 'long',
});
const kilobyteFormat = new Intl.NumberFormat(LANGUAGE, {
  style: 'unit',
  unit: 'kilobyte',
  maximumFractionDigits: 1,
});
const timeFormat = new Intl.DateTimeFormat(LANGUAGE, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/**
 * The row of each mail. Mails never change; new ones are added and the oldest are removed.
 *
 * @type {Map<number, HTMLTableRowElement>}
 */
const rows = new Map();

function size(bytes) {
  return bytes < 1000 ? byteFormat.format(bytes) : kilobyteFormat.format(bytes / 1000);
}

function attachmentOf({ id, attachment }) {
  if (!attachment) return [text('no_attachment')];
  const href = `outbox/messages/${id}/attachment`;
  const link = create('a', { href }, create('bdi', {}, attachment.name));
  return [link, ' ', create('span', { className: 'size' }, `(${size(attachment.bytes)})`)];
}

/** Creates a cell with a label, which small screens show instead of a column header. */
function cellOf(className, ...content) {
  const cell = create('td', { className }, ...content);
  cell.dataset.label = text(className);
  return cell;
}

function rowOf(message) {
  const { id, received_at: receivedAt, from, to, subject, text: words } = message;
  const time = create('time', { dateTime: receivedAt }, timeFormat.format(new Date(receivedAt)));
  const mail = create(
    'details',
    { className: 'mail' },
    create('summary', {}, create('bdi', {}, subject || text('no_subject'))),
    create('pre', { className: 'mail-text', dir: 'auto' }, words),
  );
  const row = create(
    'tr',
    {},
    create('td', { className: 'when' }, time),
    create('th', { scope: 'row' }, mail),
    cellOf('from', ...breakable(from)),
    cellOf('to', ...to.flatMap((address, index) => [index ? ', ' : '', ...breakable(address)])),
    create('td', { className: 'attachment' }, ...attachmentOf(message)),
  );
  rows.set(id, row);
  return row;
}

/** Adds new mails at the top and removes old ones. A mail that is open stays open. */
function showMessages(messages) {
  const kept = new Set(messages.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (kept.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
  body.prepend(...messages.filter(({ id }) => !rows.has(id)).map(rowOf));
  table.hidden = messages.length === 0;
}

function summaryOf({ built_in: isBuiltIn, smtp_url: url, total, messages: { length } }) {
  if (!isBuiltIn) return text('real_server');
  const sentences = [text('catcher', { url })];
  if (total === 0) sentences.push(text('none_yet'));
  else sentences.push(counted('mails', total, { number: number(total) }));
  if (total > length) sentences.push(counted('kept', length, { number: number(length) }));
  return sentences.join(' ');
}

async function refresh() {
  try {
    const response = await fetch('outbox/messages', {
      signal: AbortSignal.timeout(REQUEST_TIMEOUT),
    });
    if (!response.ok) throw new Error(response.statusText);
    const outbox = await response.json();
    showMessages(outbox.messages);
    setText(summary, summaryOf(outbox));
    setText(notice, '');
  } catch {
    setText(notice, text('trying_again'));
  }
}

let timer;

/** Reads the mails now and then regularly, while the page is visible. */
async function follow() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(follow, INTERVAL);
}

document.addEventListener('visibilitychange', follow);
follow();
