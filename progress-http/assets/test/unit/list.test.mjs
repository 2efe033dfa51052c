import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, test } from 'node:test';
import { createFakePage } from '../support/fake-page.mjs';
import { FakeClock } from '../support/fakes.mjs';
import '../support/style-sheets.mjs';

const { createFeed } = await import('../../src/list/feed.js');
const { textsFor } = await import('../../src/list/texts.js');
const { relativeTime } = await import('../../src/list/time.js');

let clock, feed, requests, records, trouble, now, changes;

/** The n-th job. A higher number is newer. */
const jobOf = (number, more = {}) => ({
  job_id: `job-${String(number).padStart(4, '0')}`,
  status: 'running',
  finished: false,
  created_at: new Date(1_700_000_000_000 + number).toISOString(),
  version: 1,
  task_type: 'mail',
  ...more,
});
const ended = { status: 'completed', finished: true, version: 9 };
const set = (number, more) => records.set(number, jobOf(number, more));

/** The endpoint of the library: pages by a cursor, or lists of ids, with an ETag. */
async function fetchFake(url, { headers }) {
  const { searchParams } = new URL(url, 'http://localhost');
  requests.push({ url, at: clock.now(), tag: headers.get('If-None-Match') });
  if (trouble) return trouble();
  const ids = searchParams.get('ids')?.split(',');
  const limit = Number(searchParams.get('limit') ?? 100);
  const cursor = Number(searchParams.get('cursor') ?? Infinity);
  const all = [...records].sort(([one], [other]) => other - one);
  const chosen = all.filter(([number, job]) =>
    ids
      ? ids.includes(job.job_id)
      : number < cursor &&
        (!searchParams.get('active') || !job.finished) &&
        (searchParams.get('status') ?? job.status) === job.status,
  );
  const page = chosen.slice(0, ids ? 100 : limit);
  const next = page.length < chosen.length ? `${page.at(-1)[0]}` : null;
  const jobs = page.map(([, job]) => job);
  const body = JSON.stringify({ count: jobs.length, jobs, next, poll_after_ms: 500 });
  const ETag = `"${body.length}-${jobs.map(({ job_id: id, version }) => id + version)}-${next}"`;
  const Date_ = new Date(now()).toUTCString();
  if (headers.get('If-None-Match') === ETag)
    return new Response(null, { status: 304, headers: { ETag, Date: Date_ } });
  return new Response(body, { headers: { ETag, Date: Date_ } });
}

beforeEach(() => {
  createFakePage();
  globalThis.document.baseURI = 'http://localhost/';
  clock = new FakeClock();
  records = new Map();
  requests = [];
  trouble = null;
  now = () => Date.now();
});
afterEach(async () => {
  feed?._stop();
  await clock.advance(60_000);
  assert.equal(clock.pending, 0);
  delete globalThis.document;
});

async function follow(pageSize = 3, filter = {}, options = {}) {
  changes = { added: [], ended: [] };
  feed = createFeed(
    { endpoint: '/jobs/', fetch: fetchFake, clock, random: () => 1, ...options },
    pageSize,
    filter,
    (news) => {
      changes.added.push(...(news?._added ?? []));
      changes.ended.push(...(news?._ended ?? []));
    },
  );
  await clock.advance(0);
}

const shown = () => feed._jobs().map(({ job_id: id }) => Number(id.slice(4)));
const second = () => clock.advance(2000);

test('the first page is followed, and new jobs are news', async () => {
  for (let number = 1; number <= 5; number += 1) set(number);
  await follow();
  assert.deepEqual(shown(), [5, 4, 3]);
  assert.equal(feed._next(), '3');
  assert.deepEqual(changes.added, [], 'nothing is new at first');
  set(6);
  await second();
  assert.deepEqual(shown(), [6, 5, 4, 3]);
  assert.deepEqual(
    changes.added.map(({ job_id: id }) => id),
    ['job-0006'],
  );
  assert.equal(requests[0].url, '/jobs/?limit=3');
  set(5, ended);
  await second();
  assert.deepEqual(
    changes.ended.map(({ job_id: id }) => id),
    ['job-0005'],
  );
});

test('pages follow by cursor without a gap, while new jobs come', async () => {
  for (let number = 1; number <= 10; number += 1) set(number, ended);
  await follow();
  set(11);
  await feed._more();
  await second();
  assert.deepEqual(shown(), [11, 10, 9, 8, 7, 6, 5]);
  await feed._more();
  await feed._more();
  assert.deepEqual(shown(), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  assert.equal(feed._next(), null);
});

test('jobs below the first page share one request until they have ended', async () => {
  for (let number = 1; number <= 6; number += 1) set(number, number % 2 ? {} : ended);
  await follow();
  await feed._more();
  await second();
  const lists = () => requests.filter(({ url }) => url.includes('ids='));
  assert.equal(decodeURIComponent(lists().at(-1).url), '/jobs/?ids=job-0001,job-0003');
  set(1, ended);
  await second();
  await second();
  assert.equal(decodeURIComponent(lists().at(-1).url), '/jobs/?ids=job-0003');
  set(3, ended);
  await second();
  await second();
  const count = lists().length;
  await clock.advance(10_000);
  assert.equal(lists().length, count, 'nothing is left to follow');
  assert.equal(changes.ended.length, 2);
});

test('two hundred jobs below the first page need two requests', async () => {
  for (let number = 1; number <= 210; number += 1) set(number);
  await follow(10);
  for (let pages = 0; pages < 20; pages += 1) await feed._more();
  await second();
  const before = requests.length;
  await clock.advance(1600);
  const urls = new Set(requests.slice(before).map(({ url }) => url));
  assert.equal(urls.size, 3, 'the first page and two lists of ids');
});

test('a deleted job disappears, on the first page and below it', async () => {
  for (let number = 1; number <= 6; number += 1) set(number);
  await follow();
  await feed._more();
  records.delete(5);
  records.delete(2);
  await second();
  await second();
  assert.deepEqual(shown(), [6, 4, 3, 1]);
  set(6, ended);
  await second();
  records.delete(6);
  await second();
  assert.deepEqual(shown(), [4, 3, 1]);
});

test('a job that the filter no longer selects stays', async () => {
  for (let number = 1; number <= 3; number += 1) set(number);
  await follow(3, { active: 'true' });
  set(2, ended);
  await second();
  await second();
  assert.equal(feed._jobs()[1].status, 'completed');
  // Also after the next answer, which does not contain it either.
  set(4);
  await second();
  assert.deepEqual(shown(), [4, 3, 2, 1]);
});

test('a burst of jobs leaves no gap, and open rows stay', async () => {
  for (let number = 1; number <= 6; number += 1) set(number);
  await follow();
  await feed._more();
  feed._pinned.add('job-0001');
  for (let number = 7; number <= 20; number += 1) set(number);
  await second();
  assert.deepEqual(shown(), [20, 19, 18, 1]);
  assert.equal(feed._next(), '18');
  feed._pinned.clear();
  for (let pages = 0; pages < 6; pages += 1) await feed._more();
  assert.deepEqual(
    shown(),
    Array.from({ length: 20 }, (_, index) => 20 - index),
  );
});

test('an older answer changes nothing, and a record made anew does', async () => {
  set(1, { version: 5 });
  await follow();
  feed._put(jobOf(1, { version: 4, status: 'failed', finished: true }));
  assert.equal(feed._jobs()[0].version, 5);
  feed._put({ ...jobOf(1, { version: 1 }), created_at: new Date().toISOString() });
  assert.equal(feed._jobs()[0].version, 1);
});

test('an answer that is no list is an outage, and no entry but records counts', async () => {
  trouble = () => Response.json({ error: 'no' });
  await follow(3, {}, { backoffBase: 100 });
  assert.equal(feed._head.error.kind, 'unreadable');
  trouble = () =>
    Response.json({ count: 4, jobs: [null, 7, {}, { job_id: 'x' }, jobOf(1)], next: null });
  await second();
  assert.deepEqual(shown(), [1]);
  assert.equal(feed._head.error, null);
});

test('a wrong address is tried twice', async () => {
  trouble = () => new Response('', { status: 404 });
  await follow();
  await clock.advance(20_000);
  assert.equal(requests.length, 2);
  assert.equal(feed._head.error.kind, 'not-found');
});

test('the time is that of the server, if the clocks differ', async () => {
  now = () => Date.now() + 3_600_000;
  set(1);
  await follow();
  assert.ok(Math.abs(feed._now() - now()) < 3000);
  now = () => Date.now() - 900;
  set(2);
  await second();
  assert.ok(Math.abs(feed._now() - Date.now()) < 50, 'the header has whole seconds');
});

test('times are relative, in coarse steps', () => {
  const ago = relativeTime('en');
  for (const [seconds, text] of [
    [0, 'now'],
    [9.9, 'now'],
    [10, '10 sec. ago'],
    [59, '50 sec. ago'],
    [60, '1 min. ago'],
    [3599, '59 min. ago'],
    [3600, '1 hr. ago'],
    [86_399, '23 hr. ago'],
    [86_400, 'yesterday'],
    [86_400 * 12, '12 days ago'],
    [NaN, 'now'],
  ])
    assert.equal(ago(seconds), text, `${seconds}`);
  assert.match(relativeTime('fr')(300), /^il y a 5\smin$/);
});

test('every text has a translation', async () => {
  const english = textsFor('en');
  const french = textsFor('fr-CA');
  assert.deepEqual(textsFor('de'), english);
  for (const key in english) {
    assert.ok(english[key] && french[key], key);
    const names = (text) => `${text.match(/\{\w+\}/g)}`;
    assert.equal(names(english[key]), names(french[key]), key);
  }
  const same = Object.keys(english).filter((key) => english[key] === french[key]);
  assert.deepEqual(same, ['actions']);
});

test('the colours of the list are those of the widget', async () => {
  const [widget, list] = await Promise.all(
    ['progress-polling', 'progress-list'].map((name) =>
      readFile(new URL(`../../src/${name}.css`, import.meta.url), 'utf8'),
    ),
  );
  const tones = [...list.matchAll(/--tone: (.*);/g)].map(([, tone]) => tone);
  assert.ok(tones.length >= 4);
  for (const tone of tones) assert.ok(widget.includes(`--tone: ${tone};`), tone);
});
