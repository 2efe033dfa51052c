// The page of the mails that the built-in catcher has caught. What is in them was written by others: it becomes text
// nodes only.

import { create, LANGUAGE, setText } from './elements.js';

const INTERVAL = 2000;
const REQUEST_TIMEOUT = 10_000;

const table = document.getElementById('messages');
const [body] = table.tBodies;
const summary = document.getElementById('summary');
const notice = document.getElementById('notice');

const numberFormat = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 1 });
const timeFormat = new Intl.DateTimeFormat(LANGUAGE, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});

/** The row of each mail. Mails never change: they come, and the oldest go. @type {Map<number, HTMLTableRowElement>} */
const rows = new Map();

function size(bytes) {
  return bytes < 1000 ? `${bytes} bytes` : `${numberFormat.format(bytes / 1000)} kB`;
}

function attachmentOf({ id, attachment }) {
  if (!attachment) return ['none'];
  const href = `/outbox/messages/${id}/attachment`;
  const link = create('a', { href }, create('bdi', {}, attachment.name));
  return [link, ' ', create('span', { className: 'size' }, `(${size(attachment.bytes)})`)];
}

function rowOf(message) {
  const { id, received_at: receivedAt, from, to, subject, text } = message;
  const time = create('time', { dateTime: receivedAt }, timeFormat.format(new Date(receivedAt)));
  const mail = create(
    'details',
    { className: 'mail' },
    create('summary', {}, create('bdi', {}, subject || '(no subject)')),
    create('pre', { className: 'mail-text', dir: 'auto' }, text),
  );
  const row = create(
    'tr',
    {},
    create('td', { className: 'when' }, time),
    create('th', { scope: 'row' }, mail),
    create('td', { className: 'from' }, from),
    create('td', { className: 'to' }, to.join(', ')),
    create('td', { className: 'attachment' }, ...attachmentOf(message)),
  );
  rows.set(id, row);
  return row;
}

/** Adds what is new at the top and removes what is no longer kept; a mail that is being read stays as it is. */
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

function summaryOf({ built_in: isBuiltIn, total, messages }) {
  if (!isBuiltIn) return 'A real mail server is in use: the mails went there, and nothing is kept here.';
  const caught = 'The built-in mail catcher plays the mail server: no mail leaves this machine.';
  if (total === 0) return `${caught} It has caught none yet.`;
  const counted = `${numberFormat.format(total)} ${total === 1 ? 'mail' : 'mails'}`;
  const shown = total > messages.length ? `, the newest ${numberFormat.format(messages.length)} are kept` : '';
  return `${caught} ${counted} so far${shown}.`;
}

async function refresh() {
  try {
    const response = await fetch('/outbox/messages', { signal: AbortSignal.timeout(REQUEST_TIMEOUT) });
    if (!response.ok) throw new Error(`The server answers ${response.status}.`);
    const outbox = await response.json();
    showMessages(outbox.messages);
    setText(summary, summaryOf(outbox));
    setText(notice, '');
  } catch {
    setText(notice, 'The server does not answer. Trying again…');
  }
}

let timer;

/** Asks now and again later, for as long as somebody can see it. */
async function follow() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(follow, INTERVAL);
}

document.addEventListener('visibilitychange', follow);
follow();
