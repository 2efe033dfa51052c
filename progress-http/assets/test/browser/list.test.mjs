import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ENDED,
  START,
  addList,
  job,
  openList,
  rowOf,
  rows,
  server,
  skip,
  titles,
} from '../support/list.mjs';
import { holdsInThreeTries, pause, until } from '../support/patience.mjs';
import { send } from '../support/jobs.mjs';
import { startServer } from '../support/testserver.mjs';

const shows = (page, expected) =>
  until(async () => `${await titles(page)}` === `${expected}`, `the titles are ${expected}`);
const note = (page) => page.locator('.progress-list p');
const banner = (page) => page.locator('.progress-polling-banner');
const filter = (page, name) => page.getByRole('combobox', { name });

/**
 * Returns the milliseconds from the creation of a job until each page shows it, looking at each
 * frame.
 */
async function appears(pages, title, on = server) {
  const shown = pages.map((page) =>
    page
      .waitForFunction(
        (wanted) =>
          [
            ...document.querySelector('progress-list').shadowRoot.querySelectorAll('th button'),
          ].some(({ textContent }) => textContent === wanted),
        title,
        { polling: 'raf' },
      )
      .then(() => performance.now()),
  );
  // Any moment of the polls and of the server's reads.
  await pause(Math.random() * 800);
  await job(title, { updates: [START] }, on);
  const created = performance.now();
  return (await Promise.all(shown)).map((at) => at - created);
}

test('a row says what the record says', { skip }, async () => {
  const running = [START, { succeeded: 40, failed: 2, message: 'Sending CCT2113' }];
  await job('Done', { updates: ENDED });
  await job('Broken', { updates: [START, { transition: 'fail', error: 'The disk is full.' }] });
  await job('Sending', { updates: running, total: 1200 });
  await job('Later', { type: 'import' });
  const page = await openList();
  await shows(page, ['Later', 'Sending', 'Broken', 'Done']);
  const [later, sending, broken, done] = await rows(page);
  assert.equal(later.job, 'Later|import');
  assert.equal(later.state, 'Waiting');
  assert.match(later.started, /^queued now$/);
  assert.equal(later.duration, '–');
  assert.equal(later.actions, 'Cancel');
  assert.match(sending.job, /^Sending\|mailing – (about .* left – )?Sending CCT2113$/);
  assert.deepEqual(
    [sending.state, sending.started, sending.done, sending.processed, sending.errors],
    ['Running', 'now', '3%', '42 of 1,200', '2'],
  );
  assert.match(sending.duration, /^\d s$/);
  assert.equal(broken.job, 'Broken|mailing – The disk is full.');
  assert.equal(broken.state, 'Failed');
  assert.deepEqual([done.state, done.done, done.processed], ['Completed', '100%', '100']);
  assert.equal(done.actions, 'Run again|Delete|');
  const time = page.locator('tbody time').last();
  const exact = new Date(await time.getAttribute('datetime'));
  assert.ok(Math.abs(exact - Date.now()) < 60_000);
  assert.match(await time.getAttribute('title'), new RegExp(`${exact.getFullYear()}.*:\\d\\d`));
  assert.deepEqual(page.mistakes, []);
});

test(
  'a job appears in the windows of its owner and of an administrator',
  { skip },
  async (context) => {
    await job('First', { updates: [START] });
    const windows = [
      await openList(),
      await openList(),
      await openList({ viewer: 'admin' }),
      await openList({ viewer: 'owner:bob' }),
    ];
    const [one, other, admin, bob] = windows;
    for (const page of windows.slice(0, 3)) await shows(page, ['First']);
    // Until the requests wait, and while they are polls.
    for (const [name, rest] of Object.entries({ polling: 0, waiting: 4000 })) {
      for (let count = 1; count <= 5; count += 1) {
        await pause(rest);
        let attempt = 0;
        await holdsInThreeTries(
          async () => {
            const title = `${name} ${count}.${(attempt += 1)}`;
            const took = await appears([one, other, admin], title);
            context.diagnostic(`${name}: ${took.map(Math.round)} ms in three windows`);
            return took;
          },
          (took) => Math.max(...took) <= 1000,
        );
      }
    }
    assert.match((await rows(admin))[0].owner, /^ann$/);
    assert.equal(await one.locator('td.progress-polling-owner').first().isVisible(), false);
    assert.ok(await admin.locator('td.progress-polling-owner').first().isVisible());
    assert.deepEqual(await titles(bob), []);
    // The owner is not hidden from others by the page only: the answer does not contain it.
    const answer = await one.evaluate(async () => (await fetch('/progress/')).text());
    assert.doesNotMatch(answer, /"owner"/);
  },
);

test('the page adds its own content to a row that is open', { skip }, async () => {
  const id = await job('Sending', { updates: [START, { failed: 1 }] });
  const other = await job('Other', { updates: [START] });
  const page = await openList();
  await page.evaluate(() => {
    globalThis.opened = [];
    document.addEventListener('progress-list:open', ({ target, detail: { data, poller } }) => {
      globalThis.opened.push([data.job_id, data.failed_items]);
      const own = Object.assign(document.createElement('output'), { slot: data.job_id });
      poller.addEventListener('progress', () => {
        own.textContent = `errors: ${poller.snapshot.failed_items}`;
      });
      target.append(own);
    });
  });
  const own = page.locator(`output[slot="${id}"]`);
  await rowOf(page, 'Sending').locator('th button').click();
  await until(async () => (await own.textContent()) === 'errors: 1', 'the content has a record');
  assert.ok(await own.isVisible());
  assert.ok(await page.locator('.progress-polling-log-box').isVisible());
  await server.update(id, { failed: 2 });
  await until(async () => (await own.textContent()) === 'errors: 3', 'it follows the job');
  assert.equal(await page.locator(`output[slot="${other}"]`).count(), 0);

  // A closed row shows nothing and follows nothing.
  await rowOf(page, 'Sending').locator('th button').click();
  assert.equal(await own.isVisible(), false);
  await server.update(id, { failed: 2 });
  const errors = rowOf(page, 'Sending').locator('td.progress-polling-errors span');
  await until(async () => (await errors.textContent()) === '5', 'the row follows the job');
  assert.equal(await own.textContent(), 'errors: 3');
  assert.deepEqual(await page.evaluate(() => globalThis.opened), [[id, 1]]);
  assert.deepEqual(page.mistakes, []);
});

test('a job of another process appears within two seconds', { skip }, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'progress-list-'));
  const store = `sqlite:${join(folder, 'progress.db')}`;
  const args = ['--framework', 'axum', '--store', store];
  const here = await startServer({ args });
  const there = await startServer({ args: ['--framework', 'actix', '--store', store] });
  try {
    const page = await openList({ origin: here.origin });
    await note(page).waitFor();
    let count = 0;
    await holdsInThreeTries(
      async () => {
        const [took] = await appears([page], `Elsewhere ${(count += 1)}`, there);
        context.diagnostic(`another process: ${Math.round(took)} ms`);
        return took;
      },
      (took) => took <= 2000,
    );
  } finally {
    await here.close();
    await there.close();
    await rm(folder, { recursive: true });
  }
});

test('an unchanged list costs next to nothing', { skip }, async (context) => {
  await job('Quiet', { updates: [START] });
  const page = await openList();
  await shows(page, ['Quiet']);
  await pause(4000);
  const before = server.requests.length;
  await pause(6000);
  const asked = server.requests.slice(before);
  context.diagnostic(`${asked.length} requests in 6 s, for a list that does not change`);
  assert.ok(asked.length <= 2, `${asked.length} requests`);
  for (const { headers } of server.requests.slice(1)) assert.ok(headers['if-none-match']);
  assert.ok(server.requests.at(-1).headers.prefer, 'the request waits');
});

test('only one request follows the rows, however many pages there are', { skip }, async () => {
  for (let number = 1; number <= 12; number += 1)
    await job(`Job ${number}`, { updates: [START] });
  const page = await openList({ attributes: { 'page-size': '5' } });
  await page.getByRole('button', { name: 'Show more' }).click();
  await until(async () => (await titles(page)).length === 10, 'ten rows');
  await page.getByRole('button', { name: 'Show more' }).click();
  await until(async () => (await titles(page)).length === 12, 'twelve rows');
  assert.equal(await page.getByRole('button', { name: 'Show more' }).isVisible(), false);
  const before = server.requests.length;
  await pause(2500);
  const urls = new Set(server.requests.slice(before).map(({ url }) => url));
  assert.equal(urls.size, 2, [...urls].join('\n'));
  const [others] = [...urls].filter((url) => url.includes('ids='));
  assert.equal(decodeURIComponent(others).split(',').length, 7);
  const ids = await page.locator('tbody > [data-tone]').count();
  assert.equal(ids, 12);
  // A job beyond the first page ends in sight, and is deleted in sight.
  const all = (
    await (
      await fetch(`${server.upstream}/progress/`, {
        headers: { 'x-viewer': 'owner:ann' },
      })
    ).json()
  ).jobs;
  const first = all.find(({ custom_title: title }) => title === 'Job 1');
  await server.update(first.job_id, { transition: 'complete' });
  await rowOf(page, 'Job 1').getByText('Completed', { exact: true }).waitFor();
});

test(
  'the filters narrow the list, and an ended job stays until it is dismissed',
  { skip },
  async () => {
    await job('Done', { updates: ENDED, type: 'import' });
    const id = await job('Running', { updates: [START] });
    await job('Waiting');
    const page = await openList();
    await shows(page, ['Waiting', 'Running', 'Done']);
    await filter(page, 'Kind').selectOption('import');
    await shows(page, ['Done']);
    await filter(page, 'Kind').selectOption('');
    for (const [state, expected] of [
      ['pending', ['Waiting']],
      ['completed', ['Done']],
      ['failed', []],
      ['active', ['Waiting', 'Running']],
    ]) {
      await filter(page, 'State').selectOption(state);
      await shows(page, expected);
    }
    await server.update(id, { transition: 'complete' });
    await rowOf(page, 'Running').getByText('Completed', { exact: true }).waitFor();
    await pause(2000);
    assert.deepEqual(await titles(page), ['Waiting', 'Running']);
    await page.getByRole('button', { name: 'Dismiss: Running' }).click();
    await shows(page, ['Waiting']);
    assert.equal(
      await page.evaluate(
        () => document.querySelector('progress-list').shadowRoot.activeElement.textContent,
      ),
      'Jobs',
    );

    // It does not come back with the next answer, nor after a reload, but on demand.
    await filter(page, 'State').selectOption('');
    await shows(page, ['Waiting', 'Done']);
    await page.reload();
    await addList(page);
    await shows(page, ['Waiting', 'Done']);
    await page.getByRole('button', { name: 'Show dismissed: 1' }).click();
    await shows(page, ['Waiting', 'Running', 'Done']);
  },
);

test('a row opens to the widget with its log', { skip }, async () => {
  const updates = [START, { succeeded: 4, entries: [{ message: 'began' }] }];
  const id = await job('Open me', { updates });
  const page = await openList();
  const open = page.getByRole('button', { name: 'Open me', exact: true });
  await open.click();
  assert.equal(await open.getAttribute('aria-expanded'), 'true');
  const panel = page.locator(`[id="${await open.getAttribute('aria-controls')}"]`);
  await panel.getByText('began').waitFor();
  await server.update(id, {
    succeeded: 10,
    entries: [{ level: 'error', item: 'B', message: 'no' }],
  });
  await panel.getByText('B – no').waitFor();
  assert.equal(await panel.getByRole('button', { name: 'Cancel' }).count(), 0);
  await panel.locator('.progress-polling-log-box').focus();
  await page.keyboard.press('Escape');
  assert.equal(await open.getAttribute('aria-expanded'), 'false');
  assert.equal(await panel.isVisible(), false);
  assert.ok(await open.evaluate((node) => node.matches(':focus')));
  const before = server.requests.length;
  await pause(1500);
  assert.ok(server.requests.slice(before).every(({ url }) => !url.includes('/log')));
});

test('a job is cancelled after a question, and deleted after another', { skip }, async () => {
  await job('Cancel me', { updates: [START] });
  await job('Pending');
  const page = await openList();
  const cancel = page.getByRole('button', { name: 'Cancel: Pending' });
  await cancel.click();
  const group = page.getByRole('group', { name: 'Cancel job: Pending' });
  assert.ok(
    await group.getByRole('button', { name: 'Keep' }).evaluate((node) => node.matches(':focus')),
  );
  await page.keyboard.press('Escape');
  await group.waitFor({ state: 'detached' });
  assert.equal(server.requests.filter(({ method }) => method === 'POST').length, 0);
  await cancel.click();
  await group.getByRole('button', { name: 'Cancel job' }).click();
  await rowOf(page, 'Pending').getByText('Cancelled', { exact: true }).waitFor();

  await page.getByRole('button', { name: 'Cancel: Cancel me' }).click();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await rowOf(page, 'Cancel me').getByText('Cancelling…', { exact: true }).waitFor();
  assert.equal(await page.getByRole('button', { name: 'Cancel: Cancel me' }).isVisible(), false);

  const remove = page.getByRole('button', { name: 'Delete: Pending' });
  await remove.click();
  await page.getByRole('group').getByRole('button', { name: 'Delete' }).click();
  await shows(page, ['Cancel me']);
  assert.deepEqual(
    server.requests
      .filter(({ method }) => method !== 'GET')
      .map(({ method, status }) => `${method} ${status}`),
    ['POST 200', 'POST 202', 'DELETE 204'],
  );
});

test('a failed action says so, and one that came too late does not', { skip }, async () => {
  const id = await job('Job', { updates: [START] });
  const page = await openList();
  const cancel = page.getByRole('button', { name: 'Cancel: Job' });
  server.respond = ({ method }, response) => method === 'POST' && (send(response, {}, 503), true);
  await cancel.click();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await page.getByRole('alert').getByText('The job could not be cancelled.').waitFor();
  server.respond = ({ method }, response) => {
    if (method !== 'POST') return false;
    server.update(id, { transition: 'complete' }).then(() => send(response, {}, 409));
    return true;
  };
  await cancel.click();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await rowOf(page, 'Job').getByText('Completed', { exact: true }).waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
});

test('"Run again" is an event for the application', { skip }, async () => {
  const id = await job('Again', { updates: ENDED });
  const page = await openList();
  await page.getByRole('button', { name: 'Run again: Again' }).click();
  assert.deepEqual(await page.evaluate(() => globalThis.told), [['runagain', id]]);
  const plain = await openList({ attributes: { 'allow-run-again': 'false' } });
  await plain.getByRole('button', { name: 'Delete: Again' }).waitFor();
  assert.equal(await plain.getByRole('button', { name: 'Run again' }).count(), 0);
});

test('a deleted job disappears from every window', { skip }, async () => {
  const id = await job('Gone', { updates: ENDED });
  await job('Stays', { updates: ENDED });
  const [one, other] = [await openList(), await openList({ viewer: 'admin' })];
  await shows(other, ['Stays', 'Gone']);
  await one.getByRole('button', { name: 'Delete: Gone' }).click();
  await one.getByRole('group').getByRole('button', { name: 'Delete' }).click();
  await shows(one, ['Stays']);
  await shows(other, ['Stays']);
  assert.ok(id);
});

test('there is a word for loading, empty and a wrong address', { skip }, async () => {
  const waiting = [];
  server.respond = (request) => (waiting.push(request), waiting.length === 1);
  const page = await openList();
  assert.equal(await note(page).textContent(), 'Loading…');
  await page.evaluate(() => document.querySelector('progress-list').refresh());
  await page.close();
  server.respond = null;
  const empty = await openList({ viewer: 'owner:eve' });
  await empty.getByText('No jobs.').waitFor();
  const refused = await openList({
    viewer: 'owner:ann',
    attributes: { endpoint: '/progress/nowhere' },
  });
  await refused.getByText('Unavailable. No list here.').first().waitFor();
});

test('an anonymous viewer is told that the list is refused', { skip }, async () => {
  server.respond = (request, response) => (send(response, { status: 403 }, 403), true);
  const page = await openList();
  await page.getByText('Unavailable. Access denied.').first().waitFor();
  assert.equal(await note(page).isVisible(), false);
  server.respond = null;
  await page.getByRole('button', { name: 'Retry' }).click();
  await page.getByText('No jobs.').waitFor();
});

test(
  'an outage and the end of the session are shown, and end by themselves',
  { skip },
  async () => {
    await job('Job', { updates: [START] });
    const page = await openList({ options: { backoffBase: 100, backoffMax: 400 } });
    await shows(page, ['Job']);
    assert.equal(await banner(page).isVisible(), false);
    server.respond = (request, response) => (send(response, {}, 503), true);
    await page.evaluate(() => document.querySelector('progress-list').refresh());
    await banner(page).getByText('Reconnecting. Server unavailable.').waitFor();
    assert.match(await banner(page).textContent(), /The list may be outdated\./);
    assert.deepEqual(await titles(page), ['Job']);
    await page.getByRole('status').getByText('Reconnecting').waitFor();
    server.respond = null;
    await banner(page).waitFor({ state: 'hidden' });
    await page.getByRole('status').getByText('Connected.').waitFor();

    server.respond = (request, response) => (send(response, {}, 401), true);
    await page.evaluate(() => document.querySelector('progress-list').refresh());
    await banner(page).getByText('Signed out. Sign in again.').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Reload page' }).isVisible());
    assert.deepEqual(await page.evaluate(() => globalThis.told), [['signedout', 'signed-out']]);
    server.respond = null;
    await banner(page).waitFor({ state: 'hidden' });
    assert.deepEqual(await titles(page), ['Job']);
  },
);

test('the live region says little', { skip }, async () => {
  const id = await job('Old', { updates: [START] });
  const page = await openList();
  await shows(page, ['Old']);
  await page.evaluate(() => {
    globalThis.spoken = [];
    const region = document
      .querySelector('progress-list')
      .shadowRoot.querySelector('[role=status]');
    new MutationObserver(() => globalThis.spoken.push(region.textContent)).observe(region, {
      childList: true,
    });
  });
  const spoken = () => page.evaluate(() => globalThis.spoken);
  for (let item = 0; item < 20; item += 1) await server.update(id, { succeeded: 1 });
  await job('New', { updates: [START] });
  await until(async () => (await spoken()).length === 1, 'one announcement');
  await server.update(id, { transition: 'complete' });
  await until(async () => (await spoken()).length === 2, 'two announcements');
  for (let count = 0; count < 9; count += 1) await job(`Burst ${count}`);
  await until(async () => (await spoken()).join().includes('Changes'), 'a summary', 4000);
  const all = await spoken();
  assert.deepEqual(all.slice(0, 2), ['New job: New', 'Old: Completed']);
  assert.ok(all.length <= 4, all.join('\n'));
});

test('the keyboard is enough', { skip }, async () => {
  for (const name of ['A', 'B', 'C']) await job(name, { updates: ENDED });
  const page = await openList();
  await shows(page, ['C', 'B', 'A']);
  const focused = () =>
    page.evaluate(() => {
      const { activeElement } = document.querySelector('progress-list').shadowRoot;
      return activeElement?.getAttribute('aria-label') ?? activeElement?.textContent;
    });
  const order = [];
  for (let presses = 0; presses < 6; presses += 1) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  assert.deepEqual(order, ['State', 'C', 'Run again: C', 'Delete: C', 'Dismiss: C', 'B']);
  await page.keyboard.press('ArrowDown');
  assert.equal(await focused(), 'A');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('ArrowUp');
  assert.equal(await focused(), 'C');
  await page.keyboard.press('Enter');
  await page
    .locator('tbody .progress-polling [data-state], tbody .progress-polling')
    .first()
    .waitFor();
  await page.keyboard.press('Enter');
  // The focus moves to the next row when its row disappears.
  await page.keyboard.press('ArrowDown');
  for (let presses = 0; presses < 3; presses += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await shows(page, ['C', 'A']);
  assert.equal(await focused(), 'A');
  // A change of the list does not move the focus.
  await job('D', { updates: [START] });
  await shows(page, ['D', 'C', 'A']);
  assert.equal(await focused(), 'A');
});
