import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, beforeEach, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { pause } from '../support/patience.mjs';
import { missingServer, startServer } from '../support/testserver.mjs';

// The HTML that the server makes, followed by htmx without the widget's script, and by a browser
// that runs no scripts. Here the server is the real one.

const skip = missing || missingServer;
const { resolve } = createRequire(import.meta.url);
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'";
const TITLE = 'Rechnungen <b>& Mahnungen</b> ‏עברית';

let server, browser, axe;
before(async () => {
  if (skip) return;
  const files = { '/htmx.js': resolve('htmx.org/dist/htmx.min.js') };
  server = await startServer({ headers: { 'Content-Security-Policy': POLICY }, files });
  browser = await launch();
  axe = await readFile(resolve('axe-core/axe.min.js'), 'utf8');
});
after(async () => {
  await browser?.close();
  await server?.close();
});
beforeEach(() => server?.requests.splice(0));

/** Adds a page with this body. */
const addPage = (path, head, body) => {
  server.pages[path] = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Job</title>
    <meta name="viewport" content="width=device-width">
    <meta name="color-scheme" content="light dark">
    <meta name="htmx-config" content='{"includeIndicatorStyles":false,"allowEval":false}'>
    <link rel="stylesheet" href="/progress/progress-html.css">
    <script src="/htmx.js"></script>${head}<main>${body}</main></html>`;
};

/** Opens a page, and records the errors on its console. */
async function open(context, path, options) {
  const page = await browser.newPage(options);
  context.after(() => page.close());
  const reported = [];
  page.on('pageerror', (error) => reported.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && reported.push(message.text()));
  await page.goto(server.origin + path);
  return { page, reported };
}

const value = (percent) => `progress[value="${percent}"]`;

test('htmx follows a job to its end without our script', { skip }, async (context) => {
  const id = await server.create({ total: 4, title: TITLE });
  const path = '/pages/htmx.html';
  const place = `hx-get="/progress/${id}.html" hx-trigger="load" hx-swap="outerHTML"`;
  addPage(path, '', `<div ${place}></div>`);
  const { page, reported } = await open(context, path);
  await page.waitForSelector('[data-state=waiting]');
  assert.equal(await page.textContent('.progress-polling-title'), TITLE);
  await server.update(id, { transition: 'start', succeeded: 1, message: '<i>one</i>' });
  await page.waitForSelector(`[data-state=running] ${value(25)}`);
  assert.equal(await page.textContent('.progress-polling-message'), '<i>one</i>');
  const { width, height } = await page.locator('progress').boundingBox();
  assert.ok(width > 400 && Math.abs(height - 10) < 1, `drawn ${width} × ${height}`);
  const accent = () =>
    page.locator('progress').evaluate((element) => getComputedStyle(element).accentColor);
  const colors = [await accent()];

  // An unchanged job: no content, so nothing is swapped.
  const bar = await page.$('.progress-polling');
  const before = server.requests.length;
  await pause(1_600);
  const statuses = server.requests
    .slice(before)
    .map(({ status }) => status)
    .filter((status) => status !== 0); // Not answered yet.
  assert.ok(statuses.length >= 2 && statuses.length <= 4, `every 500 ms: ${statuses}`);
  assert.deepEqual([...new Set(statuses)], [204]);
  assert.ok(await bar.evaluate((element) => element.isConnected));

  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run('main'));
    assert.deepEqual(violations.map(({ id: rule, nodes }) => [rule, nodes[0].html]), []);
  }

  let refused = 0;
  server.respond = (_, response) => {
    refused += 1;
    response.writeHead(503).end('away');
    return true;
  };
  await pause(1_200);
  server.respond = null;
  await server.update(id, { failed: 1 });
  await page.waitForSelector(value(50));
  await server.update(id, { transition: 'complete', succeeded: 2 });
  await page.waitForSelector(`[data-state=completed] ${value(100)}`);
  colors.push(await accent());
  assert.notEqual(colors[0], colors[1]);
  assert.equal(server.requests.at(-1).status, 286);
  const ended = server.requests.length;
  await pause(1_600);
  assert.equal(server.requests.length, ended, 'requests after the end');
  // The console names each 503 twice: once for the browser, and once for htmx.
  assert.ok(refused >= 1, 'the server was never away');
  assert.deepEqual(
    reported.filter((message) => !message.includes('503')),
    [],
  );
  assert.equal(reported.length, 2 * refused);
  assert.equal(await page.evaluate(() => typeof ProgressPolling), 'undefined');
});

test('htmx stops when there is no such job', { skip }, async (context) => {
  const path = '/pages/missing.html';
  const missingJob = '/progress/00000000-0000-4000-8000-000000000000.html';
  addPage(path, '', `<div hx-get="${missingJob}" hx-trigger="every 100ms"></div>`);
  const { page } = await open(context, path);
  await page.waitForSelector('text=Job not found.');
  const asked = server.requests.length;
  await pause(500);
  assert.equal(server.requests.length, asked);
});

test('a browser without scripts follows a job to its end', { skip }, async (context) => {
  const id = await server.create({ total: 4, title: TITLE });
  const path = `/progress/${id}.html`;
  const { page, reported } = await open(context, path, { javaScriptEnabled: false });
  const shows = (selector) => page.locator(selector).waitFor({ timeout: 15_000 });
  await shows('[data-state=waiting]');
  assert.equal(await page.title(), `Waiting - ${TITLE}`);
  await server.update(id, { transition: 'start', succeeded: 1 });
  await shows(`[data-state=running] ${value(25)}`);
  const { width } = await page.locator('progress').boundingBox();
  assert.ok(width > 400, `drawn ${width} pixels wide`);
  await server.update(id, { transition: 'fail', error: '<disk> full' });
  await shows('[data-state=failed]');
  assert.equal(await page.locator('[role=alert]').textContent(), '<disk> full');
  const ended = server.requests.length;
  await pause(4_000);
  assert.equal(server.requests.length, ended, 'the page is not loaded again after the end');
  assert.deepEqual(reported, []);
});

/** What a bar says, drawn by the widget or by the server. */
const said = (root) => {
  const text = (part) => root.querySelector(`.progress-polling-${part}`)?.textContent.trim() ?? '';
  const counts = [...root.querySelectorAll('.progress-polling-statistic:not([hidden])')];
  return {
    state: root.dataset.state,
    tone: root.dataset.tone,
    title: text('title'),
    badge: text('badge'),
    percent: text('percent'),
    message: text('message'),
    alert: text('alert'),
    counts: counts.map((count) => count.textContent),
    value: root.querySelector('[aria-valuetext]').getAttribute('aria-valuetext'),
  };
};

test('the widget and the server say the same in each state', { skip }, async (context) => {
  const start = { transition: 'start', succeeded: 1, message: 'one' };
  const states = {
    waiting: [],
    running: [start],
    completed: [start, { transition: 'complete', succeeded: 3 }],
    'with errors': [start, { transition: 'complete', failed: 3 }],
    'with a message': [start, { transition: 'complete', message: 'All sent.' }],
    failed: [start, { transition: 'fail', error: 'The disk is full.' }],
    cancelled: ['cancel'],
    cancelling: [start, 'cancel'],
    'of unknown length': [{ transition: 'start', succeeded: 3 }],
  };
  for (const [name, steps] of Object.entries(states)) {
    const total = name === 'of unknown length' ? undefined : 4;
    const id = await server.create({ total, title: name });
    for (const step of steps)
      if (step === 'cancel') await server.cancel(id);
      else await server.update(id, step);
    const path = `/pages/${name.replaceAll(' ', '-')}.html`;
    addPage(
      path,
      '<script src="/progress/progress-polling.js"></script>',
      `<div id="part"><div hx-get="/progress/${id}.html" hx-trigger="load" hx-swap="outerHTML">
      </div></div><progress-poller job-id="${id}"></progress-poller>`,
    );
    const { page } = await open(context, path);
    const widget = page.locator('progress-poller .progress-polling:not([data-state=connecting])');
    await widget.waitFor();
    await page.waitForSelector('#part .progress-polling');
    const [part, ours] = [
      await page.locator('#part .progress-polling').evaluate(said),
      await widget.evaluate(said),
    ];
    assert.deepEqual(part, ours, name);
  }
});
