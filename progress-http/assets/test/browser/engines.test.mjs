import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contrastIn } from '../support/contrast.mjs';
import { ENGINES, missing } from '../support/engines.mjs';
import { completed, running, serveJobs } from '../support/jobs.mjs';
import { until } from '../support/patience.mjs';
import { missingServer, startServer } from '../support/testserver.mjs';
import { states } from '../gallery/states.js';

// A short look at the widget in the engines besides Chromium.

/** An element, a container for the class, and one in a text that runs from right to left. */
const PLACES = ['progress-poller', '#place', '#reversed'];

for (const [name, engine] of Object.entries(ENGINES)) {
  const skip = missing(engine);
  if (skip) console.error(`# ${name.toUpperCase()} NOT TESTED: ${skip}`);

  test(`bars in ${name}`, { skip }, async (context) => {
    const jobs = await serveJobs();
    context.after(() => jobs.close());
    const session = await engine.start(engine);
    context.after(() => session.close());
    context.diagnostic(session.version);
    const measured = (place) => session.evaluate(measure, place);

    jobs.record = running(42);
    jobs.entries = [{ seq: 1, at: '2026-03-02T09:14:03Z', level: 'info', message: 'sent' }];
    await session.goto(`${jobs.origin}/pages/engines.html`);
    for (const place of PLACES) {
      await until(async () => (await measured(place))?.value === '42', `${place} shows 42 %`);
      await until(
        async () => Math.abs((await measured(place)).filled - 0.42) < 0.01,
        `${place} is filled to 42 %`,
      );
      const { track, isFromRight } = await measured(place);
      assert.equal(track.height, 10, place);
      assert.ok(track.width > 300, `${place}: a track of ${track.width} pixels`);
      assert.equal(isFromRight, place === '#reversed', place);
      const picture = await session.screenshot();
      const contrast = await session.evaluate(contrastIn, { picture, bar: track });
      assert.ok(contrast >= 3, `${place}: ${contrast.toFixed(2)} to 1`);
    }
    assert.equal((await measured('progress-poller')).entries, 1);

    jobs.record = running(80);
    for (const place of PLACES)
      await until(
        async () => Math.abs((await measured(place)).filled - 0.8) < 0.01,
        `${place} moves to 80 %`,
      );
    jobs.record = completed();
    for (const place of PLACES) {
      await until(async () => (await measured(place)).state === 'completed', `${place} ends`);
      assert.match((await measured(place)).text, /Completed/, place);
    }
    assert.deepEqual(await session.evaluate(() => window.reported), []);
    await session.evaluate(() => {
      console.error('a control');
    });
    assert.deepEqual(await session.evaluate(() => window.reported), ['a control']);

    for (const query of ['theme=light', 'theme=dark&as=element']) {
      await session.goto(`${jobs.origin}/gallery/gallery.html?${query}`);
      const shown = () => session.evaluate(measureAll);
      await until(async () => (await shown()) !== null, `the gallery with ${query}`);
      const heights = Object.entries(await shown());
      assert.equal(heights.length, Object.keys(states).length);
      assert.deepEqual(
        heights.filter(([, height]) => height < 4),
        [],
        `${query}: states without a bar`,
      );
    }
  });

  test(`the title of the tab in ${name}`, { skip }, async (context) => {
    const jobs = await serveJobs();
    context.after(() => jobs.close());
    const session = await engine.start(engine);
    context.after(() => session.close());
    jobs.record = running(42);
    await session.goto(`${jobs.origin}/pages/news.html`);
    await session.evaluate(() => {
      document.getElementById('element').setAttribute('job-id', 'a-job');
    });
    const title = () => session.evaluate(() => document.title);
    await until(async () => (await title()) === '(42%) Invoices', 'the percentage');
    const isHidden = () => session.evaluate(() => document.querySelector('progress-notify').hidden);
    assert.equal(await isHidden(), false, 'the browser can ask the reader');
    jobs.record = completed();
    await until(async () => (await title()) === 'Invoices', 'the title of the page');
  });

  const skipped = skip || missingServer;
  if (skipped && !skip) console.error(`# THE LIST IS NOT TESTED: ${missingServer}`);
  test(`the list in ${name}`, { skip: skipped }, async (context) => {
    const server = await startServer({ viewer: 'owner:ann' });
    context.after(() => server.close());
    const session = await engine.start(engine);
    context.after(() => session.close());
    const id = await server.create({ owner: 'ann', title: 'First', total: 100 });
    await server.update(id, { transition: 'start', succeeded: 42 });
    await session.goto(`${server.origin}/pages/list.html`);
    await session.evaluate(() => {
      document.getElementById('main').append(document.createElement('progress-list'));
    });
    const measured = () => session.evaluate(measure, 'progress-list');
    await until(async () => (await measured())?.value === '42', 'a row shows 42 %');
    await until(async () => Math.abs((await measured()).filled - 0.42) < 0.02, 'its bar is filled');
    const { track, text } = await measured();
    assert.equal(track.height, 10);
    assert.ok(track.width > 50, `a track of ${track.width} pixels`);
    assert.match(text, /First/);
    await session.evaluate(() => {
      document.querySelector('progress-list').shadowRoot.querySelector('th button').click();
    });
    await server.create({ owner: 'ann', title: 'Second' });
    const shown = () =>
      session.evaluate(() => {
        const { shadowRoot: root } = document.querySelector('progress-list');
        const rows = [...root.querySelectorAll('th button')].map((row) => row.textContent);
        return [...rows, !!root.querySelector('tbody .progress-polling-log-box')].join();
      });
    await until(async () => (await shown()) === 'Second,First,true', 'a new row, and an open one');
    assert.deepEqual(await session.evaluate(() => window.violations), []);
  });
}

/** Returns what a place shows. Runs in the page. */
function measure(selector) {
  const place = document.querySelector(selector);
  const part = (wanted) => (place.shadowRoot ?? place).querySelector(wanted);
  if (!part('[role=progressbar]')) return null;
  const { x, y, width, height } = part('.progress-polling-track').getBoundingClientRect();
  const fill = part('.progress-polling-fill').getBoundingClientRect();
  // The fill is as wide as the track, which clips it.
  const left = Math.max(fill.left, x);
  const right = Math.min(fill.right, x + width);
  return {
    value: part('[role=progressbar]').getAttribute('aria-valuenow'),
    state: part('[data-state]').dataset.state,
    text: part('[data-state]').textContent,
    entries: (place.shadowRoot ?? place).querySelectorAll('li').length,
    track: { x, y, width, height },
    filled: (right - left) / width,
    isFromRight: left > x + 1,
  };
}

/** Returns the height of the track in each state. Runs in the page. */
function measureAll() {
  const places = [...document.querySelectorAll('section > :last-child')];
  const tracks = places.map((place) => [
    place.id,
    (place.shadowRoot ?? place).querySelector('.progress-polling-track'),
  ]);
  if (!window.drawn || !tracks.every(([, track]) => track)) return null;
  return Object.fromEntries(
    tracks.map(([name, track]) => [name, track.getBoundingClientRect().height]),
  );
}
