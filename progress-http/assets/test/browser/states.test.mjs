import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { launch, missing } from '../support/browser.mjs';
import { contrastOfBar } from '../support/contrast.mjs';
import { FRAMEWORKS } from '../support/frameworks.mjs';
import { serve } from '../support/server.mjs';
import { states } from '../gallery/states.js';

/** For each state: `data-state`, badge, classes of the bar, percentage, line and alert. */
const EXPECTED = {
  connecting: ['connecting', 'Connecting', '', null, '', ''],
  waiting: ['waiting', 'Waiting', '', '0', '', ''],
  running: ['running', 'Running', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  'running-with-everything': [
    'running',
    'Running',
    'active',
    '42',
    'Sending CCT2113 - INVOICE.pdf',
    '',
  ],
  indeterminate: [
    'running',
    'Running',
    'active indeterminate',
    null,
    'Sending CCT2113 - INVOICE.pdf',
    '',
  ],
  completed: ['completed', 'Completed', 'success', '100', 'Completed (12 s)', ''],
  'completed-with-errors': [
    'completed',
    'Completed',
    'warning',
    '100',
    'Completed (12 s) - 3 errors',
    '',
  ],
  'completed-with-message': [
    'completed',
    'Completed',
    'success',
    '100',
    'All invoices are on their way.',
    '',
  ],
  'completed-with-result': [
    'completed',
    'Completed',
    'warning',
    '100',
    'Completed (12 s) - 3 errors',
    '',
  ],
  'compact-completed': [
    'completed',
    'Completed - 3 errors',
    'warning',
    '100',
    'Completed (12 s) - 3 errors',
    '',
  ],
  failed: [
    'failed',
    'Failed',
    'error',
    '42',
    'Sending CCT2113 - INVOICE.pdf',
    'The mail server refused the connection.',
  ],
  cancelled: ['cancelled', 'Cancelled', '', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  cancelling: ['cancelling', 'Cancelling…', '', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  stale: ['stale', 'Not responding', 'warning', '42', /^No heartbeat for [1-5]\d s$/, ''],
  stalled: ['stalled', 'Stalled', 'warning', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
  retrying: [
    'retrying',
    'Retrying: 2 of 5',
    'warning',
    '42',
    /^The disk is full\. Retrying at \d+:\d\d:12\s[AP]M\.$/,
    '',
  ],
  'second-attempt': [
    'running',
    'Running',
    'active',
    '42',
    'Attempt 2 of 5 – Sending CCT2113 - INVOICE.pdf',
    '',
  ],
  exhausted: [
    'failed',
    'Failed',
    'error',
    '42',
    'Attempt 5 of 5 – Sending CCT2113 - INVOICE.pdf',
    'The disk is full. (after 5 attempts)',
  ],
  stages: [
    'running',
    'Running',
    'active',
    '22',
    'Step 2 of 3: Check – Line 36,000 of customers.csv',
    '',
  ],
  'stages-unknown-total': [
    'running',
    'Running',
    'active',
    '10',
    'Attempt 2 of 5, Step 2 of 3: Check – Line 36,000 of customers.csv',
    '',
  ],
  'stages-failed': [
    'failed',
    'Failed',
    'error',
    '22',
    'Step 2 of 3: Check – Line 36,000 of customers.csv',
    'The file ends in the middle of a line.',
  ],
  'compact-stages': [
    'running',
    'Running',
    'active',
    '22',
    'Step 2 of 3: Check – Line 36,000 of customers.csv',
    '',
  ],
  'total-grew': [
    'running',
    'Running',
    'active',
    '35',
    'total grew to 6,000 – Sending CCT2113 - INVOICE.pdf',
    '',
  ],
  'stale-from-the-beginning': [
    'stale',
    'Not responding',
    'warning',
    '42',
    /^No heartbeat for ≥ [45]\d s$/,
    '',
  ],
  reconnecting: [
    'reconnecting',
    'Reconnecting',
    'warning',
    '42',
    /^Server unavailable\. Retrying in \d s\.$/,
    '',
  ],
  offline: ['offline', 'Offline', 'warning', '42', /^No connection\./, ''],
  'signed-out': [
    'signed-out',
    'Signed out',
    'warning',
    '42',
    'Sign in again.',
    '',
  ],
  lost: ['lost', 'Unavailable', 'error', '42', 'Sending CCT2113 - INVOICE.pdf', 'Access denied.'],
  bare: ['running', 'Running', 'active', '42', 'Sending CCT2113 - INVOICE.pdf', ''],
};

let server, browser;
/** The axe scans of all tests, one for each state. */
const scanned = { scans: 0, violations: 0, incomplete: 0 };
before(async () => {
  if (missing) return;
  server = await serve({
    files: { '/axe.js': createRequire(import.meta.url).resolve('axe-core/axe.min.js') },
  });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.close();
  if (!missing) console.log(`# axe: ${JSON.stringify(scanned)}`);
});

async function open(query = {}, viewport = { width: 672, height: 600 }, media = {}) {
  const page = await browser.newPage({ viewport, reducedMotion: 'reduce', ...media });
  await page.goto(`${server.origin}/gallery/gallery.html?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => globalThis.drawn);
  for (const [name, [state]] of Object.entries(EXPECTED))
    await page.waitForSelector(`[id="${name}"] [data-state=${state}]`);
  return page;
}

/** Runs in the page. */
function appearance(place) {
  const part = (selector) => place.querySelector(selector);
  const bar = part('[role=progressbar]');
  return {
    state: part('.ui.segment').dataset.state,
    badge: part('.ui.label').textContent,
    classes: part('.ui.progress').className
      .replace('progress-polling-progress ui progress', '')
      .trim(),
    value: bar.getAttribute('aria-valuenow'),
    line: part('.progress-polling-message').textContent,
    alert: part('[role=alert]').textContent,
    name: document.getElementById(bar.getAttribute('aria-labelledby')).textContent,
    valueText: bar.getAttribute('aria-valuetext'),
    errors: part('[data-count=errors]:not([hidden]) .value')?.textContent ?? null,
    percent: part('.bar > .progress').textContent,
    fill: part('.progress-polling-fill').style.getPropertyValue('--done'),
    buttons: [...place.querySelectorAll('button')]
      .filter((button) => button.checkVisibility({ visibilityProperty: true }))
      .map((button) => button.textContent),
  };
}

test('every state shows the expected texts and values', { skip: missing }, async (context) => {
  const page = await open();
  for (const [name, [state, badge, classes, value, line, alert]] of Object.entries(EXPECTED)) {
    await context.test(name, async () => {
      const seen = await page.locator(`[id="${name}"]`).evaluate(appearance);
      const {
        state: seenState,
        badge: seenBadge,
        classes: seenClasses,
        value: seenValue,
        alert: seenAlert,
      } = seen;
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
  for (const [name, valueText] of Object.entries({
    'second-attempt': '42%, 2,113 of 5,000, Attempt 2 of 5',
    stages: '22%, 36,000 of 60,000, Step 2 of 3: Check',
    'stages-unknown-total': '10%, Attempt 2 of 5, Step 2 of 3: Check',
    'total-grew': '35%, 2,113 of 6,000, total grew to 6,000',
  })) {
    const seen = await page.locator(`[id="${name}"]`).evaluate(appearance);
    assert.equal(seen.valueText, valueText);
  }
  assert.equal((await page.locator('#failed').evaluate(appearance)).errors, '14');
  for (const [name, buttons] of Object.entries({
    lost: ['Retry'],
    'completed-with-result': ['Dismiss'],
    compact: ['Cancel'],
    'running-with-everything': ['Cancel'],
    cancelling: [],
    reconnecting: ['Retry'],
    offline: ['Retry'],
    'signed-out': ['Reload page'],
  })) {
    const seen = await page.locator(`[id="${name}"]`).evaluate(appearance);
    assert.deepEqual(seen.buttons, buttons, name);
  }
  assert.equal(await page.locator('#bare .ui.statistics').count(), 0);
  assert.equal(await page.locator('#bare .progress-polling-message').isVisible(), false);
  assert.deepEqual(
    await page
      .locator('#running-with-everything li')
      .allTextContents()
      .then((texts) => texts.map((text) => text.replace(/^.*[AP]M\s+/, '').replace(/\s+/g, ' '))),
    ['CCT2111 – email sent', 'Failed CCT2112 – 550 no such mailbox', 'CCT2113 – email sent'],
  );
  await page.close();
});

const LOOKS = ['light', 'dark'].flatMap((theme) => ['en', 'fr'].map((lang) => ({ theme, lang })));
const matrix = Object.entries(FRAMEWORKS)
  .flatMap(([framework, query]) => LOOKS.map((look) => [framework, { ...query, ...look }]))
  // Bootstrap has few rules for the class names, so the language makes no difference.
  .filter(([framework, { lang }]) => framework !== 'bootstrap' || lang === 'en')
  .flatMap(([framework, { skin, ...query }]) => [
    [`${query.theme}, ${query.lang}, ${framework}`, { ...query, ...(skin && { skin }) }],
    [`${query.theme}, ${query.lang}, ${framework}, in shadow roots`, { ...query, as: 'element' }],
  ]);
for (const [name, query] of matrix) {
  test(`passes axe: ${name}`, { skip: missing }, async () => {
    const page = await open(query);
    await page.addScriptTag({ url: '/axe.js' });
    const { violations, incomplete } = await page.evaluate(() => globalThis.axe.run('main'));
    scanned.scans += Object.keys(states).length;
    scanned.violations += violations.length;
    scanned.incomplete += incomplete.length;
    const describe = ({ id, nodes }) =>
      `${id}: ${nodes
        .map(({ target, failureSummary }) => `${target} ${failureSummary}`)
        .join(' | ')}`;
    assert.deepEqual(violations.map(describe), []);
    assert.deepEqual(incomplete.map(describe), []);
    await page.close();
  });
}

test('an element shows the same in its shadow root', { skip: missing }, async () => {
  const contents = async (query) => {
    const page = await open(query);
    const found = await page.evaluate(() =>
      [...document.querySelectorAll('section > :last-child')].map((place) => [
        place.id,
        (place.shadowRoot ?? place).innerHTML,
      ]),
    );
    await page.close();
    // Each widget has ids of its own, and some states count the seconds.
    return found.map(([name, html]) => [
      name,
      html.replace(/progress-polling-[\d.e-]+/g, 'ID').replace(/\b\d+ s\b/g, 'SECONDS'),
    ]);
  };
  const light = await contents({ skin: 'plain' });
  assert.deepEqual(await contents({ as: 'element' }), light);
  assert.equal(light.length, Object.keys(states).length);
});

test('the bar has a tick at each border of two stages', { skip: missing }, async () => {
  for (const query of [{}, { dir: 'rtl' }, { as: 'element' }, { skin: 'bootstrap' }]) {
    const page = await open(query);
    for (const name of ['stages', 'stages-failed', 'compact-stages']) {
      const ticks = await page.locator(`[id="${name}"]`).evaluate((place) => {
        const track = (place.shadowRoot ?? place).querySelector('.progress-polling-track');
        const { left, right, width } = track.getBoundingClientRect();
        const isLeftward = getComputedStyle(track).direction === 'rtl';
        return [...track.querySelectorAll('.progress-polling-stage')].map((stage) => {
          const bounds = stage.getBoundingClientRect();
          const end = isLeftward ? right - bounds.left : bounds.right - left;
          // The tick is two pixels wide, and begins at the border.
          return Math.round((1000 * (end - 2)) / width) / 1000;
        });
      });
      for (const [index, border] of [0.1, 0.3, 1].entries())
        assert.ok(Math.abs(ticks[index] - border) < 0.005, `${name}: ${ticks}`);
    }
    assert.equal(await page.locator('#running .progress-polling-stage').count(), 0);
    await page.close();
  }
});

/**
 * The contrast of a tick, or of the gaps on its sides, with the filled part and with the empty part
 * of the bar.
 */
async function contrastOfTicks(page, name) {
  const track = page.locator(`[id="${name}"] .progress-polling-track`);
  const picture = (await track.screenshot()).toString('base64');
  return page.evaluate(async (image64) => {
    const image = new Image();
    image.src = `data:image/png;base64,${image64}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
    canvas.drawImage(image, 0, 0);
    const luminance = (x) => {
      const { data } = canvas.getImageData(Math.round(x), Math.floor(image.height / 2), 1, 1);
      const linear = [...data].map((value) =>
        value / 255 <= 0.04 ? value / 3295 : ((value / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (one, other) => (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    // The first tick, at 10 %, is in the filled part, and the second one, at 30 %, is not.
    return [0.1, 0.3].map((border) => {
      const base = luminance(image.width * border - 6);
      const across = [-1, 0, 1, 2].map((offset) => luminance(image.width * border + offset));
      return Math.max(...across.map((one) => contrast(one, base)));
    });
  }, picture);
}

test('a job that completed with errors has the color of a warning', { skip: missing }, async () => {
  const page = await open();
  const colorsOf = (name) =>
    page.locator(`#${name}`).evaluate((place) =>
      ['fill', 'badge', 'message'].map((part) => {
        const style = getComputedStyle(place.querySelector(`.progress-polling-${part}`));
        return part === 'fill' ? style.backgroundColor : style.color;
      }),
    );
  const [warning] = await colorsOf('stale');
  assert.notEqual((await colorsOf('completed'))[0], warning);
  assert.deepEqual(await colorsOf('completed-with-errors'), [warning, warning, warning]);
  assert.equal((await colorsOf('stalled'))[0], warning);
  await page.close();
});

test('nothing overflows at 320 pixels', { skip: missing }, async () => {
  for (const query of [{}, { dir: 'rtl' }, { lang: 'fr' }]) {
    const page = await open(query, { width: 320, height: 600 });
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll('.progress-polling')].flatMap((root) => {
        const { left, right } = root.getBoundingClientRect();
        return [...root.querySelectorAll('*:not(.progress-polling-fill)')]
          .filter((node) => node.checkVisibility())
          .filter(
            (node) =>
              node.getBoundingClientRect().right > right + 1 ||
              node.getBoundingClientRect().left < left - 1,
          )
          .map((node) => `${root.parentElement.id} ${node.className}`);
      }),
    );
    assert.deepEqual(outside, []);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
    await page.close();
  }
});

test('a long title and long numbers fit, also at 320 pixels', { skip: missing }, async () => {
  for (const width of [672, 320]) {
    const page = await open({}, { width, height: 600 });
    const { title, header, lines } = await page.locator('#long-words').evaluate((place) => ({
      title: place.querySelector('.ui.header').offsetWidth,
      header: place.querySelector('.progress-polling-header').offsetWidth,
      lines: [...place.querySelectorAll('.value')].map((value) => {
        const range = document.createRange();
        range.selectNodeContents(value);
        return range.getClientRects().length;
      }),
    }));
    assert.ok(title > header * 0.7, `a title of ${title} of ${header} pixels`);
    assert.deepEqual(lines, [1, 1, 1, 1]);
    await page.close();
  }
});

for (const as of ['class', 'element']) {
  test(`framework styles do not change the widget: ${as}`, { skip: missing }, async () => {
    const measure = async (query) => {
      const page = await open({ theme: 'light', as, ...query });
      // Sizes are in rem, which a framework may change; everything else must stay the same.
      await page.addStyleTag({ content: 'html { font-size: 16px !important; }' });
      const measured = await page.evaluate(() =>
        [...document.querySelectorAll('section > :last-child')]
          .flatMap((place) => [...(place.shadowRoot ?? place).querySelectorAll('*')])
          .map((node) => {
            const { x, width, height } = node.getBoundingClientRect();
            const { color, backgroundColor, fontSize, textTransform, boxShadow } =
              getComputedStyle(node);
            return [
              node.className,
              x,
              width,
              height,
              color,
              backgroundColor,
              fontSize,
              textTransform,
              boxShadow,
            ].join(' ');
          }),
      );
      await page.close();
      return measured;
    };
    const alone = await measure({});
    for (const sheet of [
      '/pages/framework.css',
      '/fomantic/semantic.min.css',
      '/bootstrap/bootstrap.min.css',
    ]) {
      assert.deepEqual(await measure({ sheet }), alone, sheet);
    }
  });
}

const SIGHTS = {
  light: [{ theme: 'light' }, {}],
  dark: [{ theme: 'dark' }, {}],
  'light, in shadow roots': [{ theme: 'light', as: 'element' }, {}],
  'dark, in shadow roots': [{ theme: 'dark', as: 'element' }, {}],
  'forced colours, in shadow roots': [{ as: 'element' }, { forcedColors: 'active' }],
  'forced colours': [{}, { forcedColors: 'active' }],
  'forced colours, dark': [{}, { forcedColors: 'active', colorScheme: 'dark' }],
};
for (const [name, [query, media]] of Object.entries(SIGHTS)) {
  test(`the fill has enough contrast: ${name}`, { skip: missing }, async () => {
    const page = await open(query, undefined, media);
    for (const state of [
      'running',
      'failed',
      'cancelled',
      'stale',
      'reconnecting',
      'offline',
      'signed-out',
      'lost',
    ]) {
      const contrast = await contrastOfBar(page, state);
      assert.ok(contrast >= 3, `${state}: ${contrast.toFixed(2)} to 1`);
    }
    for (const state of ['stages', 'stages-failed'])
      for (const contrast of await contrastOfTicks(page, state))
        assert.ok(contrast >= 3, `a tick of ${state}: ${contrast.toFixed(2)} to 1`);
    await page.close();
  });
}

test('nothing moves with reduced motion', { skip: missing }, async () => {
  const page = await open();
  const moving = await page.evaluate(() =>
    document.getAnimations().map(({ effect }) => effect.target.className),
  );
  assert.deepEqual(moving, []);
  await page.emulateMedia({ reducedMotion: 'no-preference' });
  assert.ok(await page.evaluate(() => document.getAnimations().length > 0));
  await page.close();
});

test('the gallery has every expected state', () => {
  assert.deepEqual(
    Object.keys(EXPECTED).filter((name) => !(name in states)),
    [],
  );
});
