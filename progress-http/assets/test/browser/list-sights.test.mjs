import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { contrastIn } from '../support/contrast.mjs';
import { hostile } from '../support/hostile.mjs';
import { send } from '../support/jobs.mjs';
import { ENDED, START, job, openList, server, skip, titles } from '../support/list.mjs';
import { launchOldBrowser, missingOld } from '../support/old-browser.mjs';
import { until } from '../support/patience.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A job in each state that a row shows. */
async function createJobs() {
  const running = [START, { succeeded: 42, failed: 3, message: 'Sending CCT2113 - INVOICE.pdf' }];
  await job('Import customers.csv', { updates: ENDED, type: 'import' });
  await job('Sending invoices', {
    updates: [START, { succeeded: 98, failed: 2 }, { transition: 'complete' }],
  });
  await job('Sending reminders', {
    updates: [...running, { transition: 'fail', error: 'The mail server refused.' }],
  });
  await job('Export', { updates: [...running, { transition: 'cancel' }], owner: 'bob' });
  await job('Cancelled', { updates: [...running, { transition: 'cancel' }] });
  await job('Sending more invoices', { updates: running, total: 1200 });
  await job('Report', { updates: [START, { succeeded: 7 }], total: null });
  await job('Newsletter');
}

const inRoot = (page, selector) =>
  page.evaluate(
    (wanted) =>
      [...document.querySelector('progress-list').shadowRoot.querySelectorAll(wanted)].length,
    selector,
  );

async function scan(page) {
  // The policy of the page forbids a script of the test.
  await page
    .context()
    .newCDPSession(page)
    .then((devtools) => devtools.send('Runtime.evaluate', { expression: axe }));
  const { violations, incomplete } = await page.evaluate(() =>
    globalThis.axe.run({ include: [['progress-list']] }),
  );
  return [...violations, ...incomplete].map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`,
  );
}

for (const width of [390, 800, 1280]) {
  for (const theme of ['light', 'dark']) {
    for (const [lang, dir] of [
      ['en', 'ltr'],
      ['fr', 'ltr'],
      ['en', 'rtl'],
    ]) {
      test(`axe: ${width} pixels, ${theme}, ${lang}, ${dir}`, { skip }, async () => {
        await createJobs();
        const page = await openList({
          viewer: 'admin',
          page: { lang, dir },
          attributes: { 'page-size': '5' },
          window: {
            viewport: { width, height: 800 },
            colorScheme: theme,
            reducedMotion: 'reduce',
          },
        });
        await until(async () => (await titles(page)).length === 5, 'five rows');
        // Before axe adds a style to the page.
        assert.deepEqual(await page.evaluate(() => window.violations), []);
        assert.deepEqual(await scan(page), []);
        // A question, an open row, and an outage.
        await page.locator('th button').first().click();
        await page.locator('tbody .progress-polling-log-box').waitFor();
        await page
          .locator('button:visible', { hasText: /^(Cancel|Annuler)$/ })
          .nth(1)
          .click();
        await page.locator('.progress-polling-confirm').waitFor();
        assert.deepEqual(await scan(page), []);
        server.respond = (request, response) => (send(response, {}, 503), true);
        await page.evaluate(() => document.querySelector('progress-list').refresh());
        await page.locator('.progress-polling-banner').waitFor();
        assert.deepEqual(await scan(page), []);
        // Nothing is cut off at the side.
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.equal(overflow, 0);
      });
    }
  }
}

for (const state of ['empty', 'loading', 'signed out']) {
  test(`axe: ${state}`, { skip }, async () => {
    server.respond = {
      empty: null,
      loading: (request) => request.url.includes('limit'),
      'signed out': (request, response) => (send(response, {}, 401), true),
    }[state];
    const page = await openList();
    await page
      .getByText({ empty: 'No jobs.', loading: 'Loading…', 'signed out': /Signed out/ }[state])
      .first()
      .waitFor();
    assert.deepEqual(await scan(page), []);
  });
}

test('the list is a table in every form', { skip }, async () => {
  await createJobs();
  for (const width of [390, 800, 1280]) {
    const page = await openList({ window: { viewport: { width, height: 800 } } });
    await until(async () => (await titles(page)).length === 7, 'seven rows');
    // As attributes: some browsers forget what a part of a table is when it is displayed otherwise.
    assert.equal(await inRoot(page, ':is(table, thead, tbody, tr, th, td):not([role])'), 0);
    const table = page.getByRole('table', { name: 'Jobs' });
    assert.equal(await table.getByRole('columnheader').count(), 8, 'without the owner');
    const row = table.getByRole('row', { name: /Newsletter/ });
    assert.equal(await row.getByRole('rowheader').count(), 1);
    assert.equal(await row.getByRole('cell').count(), 7);
    const bar = row.getByRole('progressbar', { name: 'Newsletter' });
    assert.equal(await bar.getAttribute('aria-valuetext'), '0%, 0 of 100');
    const { height } = await row.boundingBox();
    assert.ok(width > 640 ? height < 80 : height > 90, `${height} pixels`);
    await page.close();
  }
});

for (const width of [390, 800, 1280]) {
  for (const lang of ['en', 'fr']) {
    test(`nothing that counts is cut off: ${width} pixels, ${lang}`, { skip }, async () => {
      const half = [START, { succeeded: 36_000, failed: 12 }];
      await job('Import customers.csv', { updates: half, total: 60_000 });
      await job('Export', { updates: [...half, { transition: 'fail' }], total: 60_000 });
      await job('Newsletter', { type: 'a kind with a very long name '.repeat(4) });
      const page = await openList({ page: { lang }, window: { viewport: { width, height: 800 } } });
      await until(async () => (await titles(page)).length === 3, 'three rows');
      const cut = await page.evaluate(() => {
        const { shadowRoot } = document.querySelector('progress-list');
        const parts = 'time, .progress-polling-processed span, .progress-polling-errors span';
        const duration = [...shadowRoot.querySelectorAll('td .progress-polling-duration')];
        for (const span of duration) span.textContent = '59 min 59 s';
        const counts = [...shadowRoot.querySelectorAll(`tbody :is(${parts})`), ...duration];
        return counts
          .filter(({ scrollWidth, offsetWidth }) => scrollWidth > offsetWidth)
          .map(({ textContent }) => textContent);
      });
      assert.deepEqual(cut, []);
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.equal(overflow, 0);
      for (const row of await page.locator('tbody > [data-tone]').all()) {
        const boxes = await row.locator('> *').evaluateAll((cells) =>
          cells
            .filter((cell) => cell.checkVisibility())
            .flatMap((cell) => [...cell.children].filter((child) => child.offsetWidth))
            .map((child) => child.getBoundingClientRect().toJSON()),
        );
        for (const [index, one] of boxes.entries()) {
          for (const other of boxes.slice(index + 1)) {
            const isApart =
              one.right <= other.left + 1 ||
              other.right <= one.left + 1 ||
              one.bottom <= other.top + 1 ||
              other.bottom <= one.top + 1;
            assert.ok(isApart, `${JSON.stringify(one)} ${JSON.stringify(other)}`);
          }
        }
      }
    });
  }
}

test('hostile texts in every field are shown literally', { skip }, async (context) => {
  const records = hostile.map((text, index) => ({
    job_id: text.replaceAll(',', ' '),
    custom_title: text,
    task_type: text,
    status: ['pending', 'running', 'completed', 'failed', 'cancelled', text][index % 6],
    finished: index % 6 > 1,
    current_message: text,
    error_message: text,
    completion_message: text,
    owner: text,
    total_items: index % 2 ? text : 7,
    processed_items: text,
    failed_items: index % 3 ? text : 2,
    progress_percentage: text,
    duration: text,
    created_at: index % 2 ? text : new Date(1_700_000_000_000 - index).toISOString(),
    started_at: text,
    retry_at: text,
    stages: [{ name: text, weight: text, state: text }],
    stage: 1,
    attempt: text,
    max_attempts: text,
    metadata: { text },
    result: { href: text, label: text },
    version: text,
    poll_after_ms: text,
    stale_after_ms: text,
    stale: index % 5 === 0,
  }));
  server.respond = (request, response) => {
    const isFirst = !request.url.includes('cursor') && !request.url.includes('ids=');
    const jobs = isFirst ? records.slice(0, 100) : records.slice(100);
    const page = { count: jobs.length, jobs, next: isFirst ? hostile[3] : null };
    return (send(response, { ...page, poll_after_ms: 500 }), true);
  };
  const attributes = {
    heading: hostile[0],
    'page-size': '100',
    'task-type': '',
    status: hostile[2],
  };
  const page = await openList({ viewer: 'admin', attributes });
  await until(async () => (await titles(page)).length === 100, 'a hundred rows');
  await page.getByRole('button', { name: 'Show more' }).click();
  await until(async () => (await titles(page)).length >= hostile.length - 5, 'all rows');
  const shown = await titles(page);
  for (const title of shown) assert.ok(hostile.includes(title), title);
  assert.equal(await page.locator('#heading').textContent(), hostile[0]);
  const dangerous =
    ':is(script, img, svg, iframe, style, form, base, progress-poller, a[href]:not([href=""]))';
  await page.locator('th button').nth(2).click();
  await page.locator('tbody .progress-polling').waitFor();
  assert.equal(await inRoot(page, dangerous), 0);
  assert.deepEqual(await page.evaluate(() => window.ran ?? []), []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(page.mistakes, []);
  context.diagnostic(`${shown.length} hostile records, 0 violations`);
});

test('the ready page works under its own policy', { skip }, async () => {
  await createJobs();
  for (const [locale, heading, title] of [
    ['en-GB', 'Jobs', 'Jobs'],
    ['fr-FR', 'Tâches', 'Tâches'],
  ]) {
    const page = await openList({ viewer: 'admin', window: { locale } });
    const failed = [];
    page.on('console', (message) => message.type() === 'error' && failed.push(message.text()));
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
        window.violations.push(effectiveDirective),
      );
    });
    await page.goto(`${server.upstream}/progress/list.html`);
    await until(async () => (await titles(page)).length === 8, 'eight rows');
    assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), heading);
    assert.equal(await page.title(), title);
    assert.equal(await page.evaluate(() => document.documentElement.lang), locale);
    assert.equal(await page.locator('button[aria-label^="Run again"]:visible').count(), 0);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
    assert.deepEqual(page.mistakes, []);
    assert.deepEqual(
      failed.filter((text) => !text.includes('favicon') && !text.includes('404')),
      [],
    );
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Runtime.evaluate', { expression: axe });
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`),
      [],
    );
  }
});

/** The contrast of both ends of the bar of a row, on the screen. */
async function contrastOf(page, title) {
  const track = page
    .locator('tbody > [data-tone]', { has: page.getByText(title, { exact: true }) })
    .locator('.progress-polling-track');
  const picture = (await track.screenshot()).toString('base64');
  // Not in the page, whose policy forbids images.
  const blank = await page.context().newPage();
  const contrast = await blank.evaluate(contrastIn, { picture });
  await blank.close();
  return contrast;
}

for (const [name, window] of Object.entries({
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  'forced colours': { forcedColors: 'active' },
})) {
  test(`the bars have enough contrast: ${name}`, { skip }, async () => {
    await createJobs();
    const page = await openList({ window: { ...window, reducedMotion: 'reduce' } });
    for (const title of ['Sending reminders', 'Cancelled']) {
      const contrast = await contrastOf(page, title);
      assert.ok(contrast >= 3, `${title}: ${contrast.toFixed(2)} to 1`);
    }
  });
}

for (const kind of ['current', 'Chromium 119']) {
  const skipped = skip || (kind === 'Chromium 119' && missingOld);
  test(
    `from right to left, the bars begin at the right: ${kind}`,
    { skip: skipped },
    async () => {
      await createJobs();
      const from = kind === 'Chromium 119' ? await launchOldBrowser() : undefined;
      try {
        const window = { reducedMotion: 'reduce' };
        const page = await openList({ page: { dir: 'rtl' }, window, ...(from && { from }) });
        const row = page.locator('tbody > [data-tone]', { hasText: 'Sending reminders' });
        const [track, fill] = await Promise.all(
          ['track', 'fill'].map((part) => row.locator(`.progress-polling-${part}`).boundingBox()),
        );
        assert.equal(track.height, 10);
        const filled = (track.x + track.width - fill.x) / track.width;
        assert.ok(Math.abs(filled - 0.45) < 0.02, `${filled}`);
        const [title, actions] = await Promise.all(
          ['th', '.progress-polling-actions'].map((part) => row.locator(part).boundingBox()),
        );
        assert.ok(title.x > actions.x);
        // A title of the other direction keeps its beginning.
        const { textOverflow, direction } = await row
          .locator('.progress-polling-title')
          .evaluate((node) => getComputedStyle(node));
        assert.deepEqual([textOverflow, direction], ['ellipsis', 'ltr']);
        // A short text of the other direction is aligned as the page is.
        const [cell, detail] = await Promise.all(
          ['th', '.progress-polling-detail'].map((part) => row.locator(part).boundingBox()),
        );
        const gap = cell.x + cell.width - detail.x - detail.width;
        assert.ok(gap >= 15 && gap <= 17, `${gap} pixels`);
        const time = row.locator('time');
        assert.equal(await time.evaluate((node) => getComputedStyle(node).direction), 'ltr');
        assert.deepEqual(page.mistakes, []);
      } finally {
        await from?.close();
      }
    },
  );
}

test('nothing moves with reduced motion', { skip }, async () => {
  await createJobs();
  const moving = (page) =>
    page.evaluate(
      () =>
        document.querySelector('progress-list').shadowRoot.getAnimations?.().length ??
        document.getAnimations().length,
    );
  const still = await openList({ window: { reducedMotion: 'reduce' } });
  await until(async () => (await titles(still)).length === 7, 'seven rows');
  assert.equal(await moving(still), 0);
  const moved = await openList();
  await until(async () => (await moving(moved)) > 0, 'an indeterminate bar moves');
});
