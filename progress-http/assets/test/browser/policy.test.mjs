import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { POLICY, hostile } from '../support/hostile.mjs';
import { running, serveJobs } from '../support/jobs.mjs';
import { until } from '../support/patience.mjs';

/** An element, a container for the class, and an element whose attributes are hostile. */
const PLACES = ['#element', '#place', '#hostile'];

let jobs, browser;
before(async () => {
  if (missing) return;
  jobs = await serveJobs({ headers: { 'Content-Security-Policy': POLICY } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await jobs?.close();
});

const record = (text, version) =>
  running(42, {
    custom_title: text,
    current_message: text,
    task_type: text,
    version,
    failed_items: 1,
    stages: [{ name: text, weight: text, state: text }],
    stage: 1,
    metadata: { text },
    result: { href: text, label: text },
    poll_after_ms: null,
  });

test('hostile texts are shown literally under a strict policy', { skip: missing }, async (context) => {
  assert.ok(hostile.length >= 150);
  const page = await browser.newPage();
  const mistakes = [];
  page.on('pageerror', (error) => mistakes.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && mistakes.push(message.text()));
  jobs.record = record('harmless', 1);
  await page.goto(
    `${jobs.origin}/pages/strict.html?${new URLSearchParams({ option: hostile[0] })}`,
  );
  for (const [index, text] of hostile.entries()) {
    jobs.entries.push({ seq: index + 1, at: text, level: text, item: text, message: text });
    jobs.record = record(text, index + 2);
    await page.waitForFunction(
      (wanted) =>
        wanted.places.every((selector) => {
          const place = document.querySelector(selector);
          const message = '.progress-polling-message';
          return (place.shadowRoot ?? place).querySelector(message).textContent === wanted.message;
        }),
      { message: `Step 1 of 1: ${text} – ${text}`, places: PLACES },
      { polling: 20 },
    );
    assert.equal(await page.locator('#element .progress-polling-title').textContent(), text);
  }
  for (const place of PLACES) {
    const lines = page.locator(`${place} li`);
    await until(async () => (await lines.count()) === hostile.length, `the log of ${place}`);
    const lastLine = await lines.last().textContent();
    assert.equal(lastLine.trim(), `${hostile.at(-1)} – ${hostile.at(-1)}`);
  }
  assert.equal(await page.locator('#hostile .progress-polling-title').textContent(), hostile[0]);
  assert.equal(await page.locator('#place .ui.header').textContent(), hostile[0]);
  assert.equal(await page.locator('#place .ui.label').textContent(), hostile[0]);

  // Each string as the result of a job of its own, at an address and as its label.
  const harmful = [
    ...hostile,
    ' javascript:ran.push(6)',
    'java\nscript:ran.push(7)',
    'JaVaScRiPt:ran.push(8)',
    'data:text/html,<script>top.ran.push(9)</script>',
    'blob:https://example.com/1',
    'http://evil.example/',
    '//evil.example:80',
  ];
  const links = await page.evaluate(async (texts) => {
    const seen = [];
    for (const text of texts) {
      const place = document.body.appendChild(document.createElement('div'));
      const result = { href: text, label: text };
      const body = JSON.stringify({ status: 'completed', result });
      const widget = new ProgressPolling(place, 'a-job', { fetch: async () => new Response(body) });
      await widget.finished;
      const link = place.querySelector('a');
      if (!link.protocol.startsWith('http')) link.click();
      seen.push([link.textContent === text, link.hidden, link.protocol, link.origin]);
      widget.destroy();
      place.remove();
    }
    return seen;
  }, harmful);
  for (const [index, [isText, isHidden, protocol, origin]] of links.entries()) {
    assert.ok(isText, harmful[index]);
    if (isHidden) continue;
    assert.match(protocol, /^https?:$/, harmful[index]);
    assert.equal(origin, jobs.origin, harmful[index]);
  }
  const shown = (text) => !links[harmful.indexOf(text)][1];
  assert.deepEqual(harmful.slice(-7).filter(shown), []);

  jobs.record = { ...record('end', 1000), status: 'failed', error_message: hostile[1] };
  for (const place of PLACES) {
    await page.waitForSelector(`${place} [data-state=failed]`);
    assert.equal(await page.locator(`${place} [role=alert]`).textContent(), hostile[1]);
    const dangerous =
      ':is(script, img, svg, iframe, style, form, base, progress-poller, [href]:not([href=""]))';
    assert.equal(await page.locator(`${place} ${dangerous}`).count(), 0, place);
  }
  assert.deepEqual(await page.evaluate(() => window.ran), []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(mistakes, []);
  context.diagnostic(`${hostile.length} hostile texts in ${PLACES.length} places: 0 violations`);
  await page.close();
});

test('the style sheet applies under a strict policy', { skip: missing }, async () => {
  const page = await browser.newPage();
  jobs.record = running(42);
  await page.goto(`${jobs.origin}/pages/strict.html`);
  await page.waitForSelector('#place [data-state=running]');
  assert.equal(
    await page
      .locator('#place .progress-polling-track')
      .evaluate((node) => getComputedStyle(node).overflow),
    'clip',
  );
  await page.close();
});

test('the test page detects a violation', { skip: missing }, async () => {
  const page = await browser.newPage();
  await page.goto(`${jobs.origin}/pages/strict.html`);
  await page.evaluate(() => document.body.setAttribute('style', 'color: red'));
  await page.waitForFunction(() => window.violations.length > 0);
  await page.close();
});
