import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { serve } from '../support/server.mjs';
import { states } from '../gallery/states.js';

/** Of each state: data-state, the word, the classes of the bar, the percentage, the line, the alert. */
const EXPECTED = {
  connecting: ['connecting', 'Connecting', '', null, '', ''],
  waiting: ['waiting', 'Waiting', '', '0', '', ''],
  running: ['running', 'Running', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  'running-with-everything': ['running', 'Running', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  indeterminate: ['running', 'Running', 'active indeterminate', null, 'Sending CCT2113 - INVOICE.pdf', ''],
  completed: ['completed', 'Completed', 'success', '100', 'Completed (12 s)', ''],
  'completed-with-errors': ['completed', 'Completed', 'success', '100', 'Completed (12 s) - 3 errors', ''],
  'completed-with-message': ['completed', 'Completed', 'success', '100', 'All invoices are on their way.', ''],
  failed: [
    'failed',
    'Failed',
    'error',
    '42',
    'Sending CCT2113 - INVOICE.pdf',
    'The mail server refused the connection.',
  ],
  cancelled: ['cancelled', 'Cancelled', '', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  cancelling: ['cancelling', 'Cancelling…', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  stale: ['stale', 'Not responding', 'warning', '42', /^No sign of life for 1\d s$/, ''],
  'stale-from-the-beginning': ['stale', 'Not responding', 'warning', '42', /^No sign of life for at least 1\d s$/, ''],
  reconnecting: [
    'reconnecting',
    'Reconnecting',
    'warning',
    '42',
    /^The server is not available\. Trying again in \d s\.$/,
    '',
  ],
  offline: ['offline', 'Offline', 'warning', '42', 'You are offline.', ''],
  lost: ['lost', 'Unavailable', 'error', '42', 'Sending CCT2113 - INVOICE.pdf', 'You may not see this job.'],
  bare: ['running', 'Running', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
};

let server, browser;
before(async () => {
  if (missing) return;
  server = await serve({ files: { '/axe.js': createRequire(import.meta.url).resolve('axe-core/axe.min.js') } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

async function open(query = {}, viewport = { width: 672, height: 600 }) {
  const page = await browser.newPage({ viewport, reducedMotion: 'reduce' });
  await page.goto(`${server.origin}/gallery/gallery.html?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => globalThis.drawn);
  await page.waitForSelector('#lost [data-state=lost]');
  await page.waitForSelector('#stale [data-state=stale]');
  await page.waitForSelector('#reconnecting [data-state=reconnecting]');
  return page;
}

/** Runs in the page. */
function appearance(place) {
  const part = (selector) => place.querySelector(selector);
  const bar = part('[role=progressbar]');
  return {
    state: part('.ui.segment').dataset.state,
    badge: part('.ui.label').textContent,
    classes: part('.ui.progress').className.replace(/progress-polling-progress ui progress ?/, ''),
    value: bar.getAttribute('aria-valuenow'),
    line: part('.progress-polling-message').textContent,
    alert: part('[role=alert]').textContent,
    name: document.getElementById(bar.getAttribute('aria-labelledby')).textContent,
    valueText: bar.getAttribute('aria-valuetext'),
    errors: part('[data-count=errors] .value')?.textContent ?? null,
    percent: part('.bar > .progress').textContent,
    fill: part('.progress-polling-fill').style.getPropertyValue('--progress-polling-done'),
    hidden: [...place.querySelectorAll('button')].map((button) => [button.textContent, button.offsetParent === null]),
  };
}

test('every state looks as it should', { skip: missing }, async (context) => {
  const page = await open();
  for (const [name, [state, badge, classes, value, line, alert]] of Object.entries(EXPECTED)) {
    await context.test(name, async () => {
      const seen = await page.locator(`[id="${name}"]`).evaluate(appearance);
      const { state: seenState, badge: seenBadge, classes: seenClasses, value: seenValue, alert: seenAlert } = seen;
      assert.deepEqual(
        [seenState, seenBadge, seenClasses, seenValue, seenAlert],
        [state, badge, classes, value, alert],
      );
      if (line instanceof RegExp) assert.match(seen.line, line);
      else assert.equal(seen.line, line);
      assert.equal(seen.fill, `${value ?? 0}%`);
      assert.equal(seen.percent, value === null ? '' : `${value}%`);
    });
  }
  const running = await page.locator('#running').evaluate(appearance);
  assert.deepEqual(
    [running.name, running.valueText, running.errors],
    ['Sending invoices', '42%, 2,113 of 5,000', null],
  );
  assert.equal((await page.locator('#failed').evaluate(appearance)).errors, '14');
  assert.deepEqual((await page.locator('#lost').evaluate(appearance)).hidden, [['Try again', false]]);
  assert.deepEqual((await page.locator('#cancelling').evaluate(appearance)).hidden, [
    ['Try again', true],
    ['Cancel', false],
  ]);
  assert.equal(await page.locator('#cancelling button:visible').isDisabled(), true);
  assert.equal(await page.locator('#bare .ui.statistics').count(), 0);
  assert.equal(await page.locator('#bare .progress-polling-message').isVisible(), false);
  assert.deepEqual(
    await page
      .locator('#running-with-everything li')
      .allTextContents()
      .then((texts) => texts.map((text) => text.replace(/^\S+ \S+ /, ''))),
    ['CCT2111 – email sent', 'Error CCT2112 – 550 no such mailbox', 'CCT2113 – email sent'],
  );
  await page.close();
});

for (const theme of ['light', 'dark']) {
  for (const lang of ['en', 'fr']) {
    test(`no state offends axe: ${theme}, ${lang}`, { skip: missing }, async () => {
      const page = await open({ theme, lang });
      await page.addScriptTag({ url: '/axe.js' });
      const { violations, incomplete } = await page.evaluate(() => globalThis.axe.run('main'));
      const describe = ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join(' | ')}`;
      assert.deepEqual(violations.map(describe), []);
      assert.deepEqual(incomplete.map(describe), []);
      await page.close();
    });
  }
}

test('nothing sticks out at 320 pixels, whatever the words', { skip: missing }, async () => {
  for (const query of [{}, { dir: 'rtl' }, { lang: 'fr' }]) {
    const page = await open(query, { width: 320, height: 600 });
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll('.progress-polling')].flatMap((root) => {
        const { left, right } = root.getBoundingClientRect();
        return [...root.querySelectorAll('*:not(.progress-polling-fill)')]
          .filter((node) => node.checkVisibility())
          .filter(
            (node) => node.getBoundingClientRect().right > right + 1 || node.getBoundingClientRect().left < left - 1,
          )
          .map((node) => `${root.parentElement.id} ${node.className}`);
      }),
    );
    assert.deepEqual(outside, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
    await page.close();
  }
});

test('a framework cannot disfigure the widget', { skip: missing }, async () => {
  const measure = async (query) => {
    const page = await open({ theme: 'light', ...query });
    const measured = await page.evaluate(() =>
      [...document.querySelectorAll('.progress-polling, .progress-polling *')].map((node) => {
        const { x, width, height } = node.getBoundingClientRect();
        const { color, backgroundColor, fontSize, textTransform, boxShadow } = getComputedStyle(node);
        return [node.className, x, width, height, color, backgroundColor, fontSize, textTransform, boxShadow].join(' ');
      }),
    );
    await page.close();
    return measured;
  };
  assert.deepEqual(await measure({ sheet: '/pages/framework.css' }), await measure({}));
});

test('the gallery shows a place for every state that is expected', () => {
  assert.deepEqual(
    Object.keys(EXPECTED).filter((name) => !(name in states)),
    [],
  );
});
