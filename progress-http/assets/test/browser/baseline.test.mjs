import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { states } from '../gallery/states.js';
import { contrastOfBar } from '../support/contrast.mjs';
import { launchOldBrowser, missingOld } from '../support/old-browser.mjs';
import { serve } from '../support/server.mjs';

const skip = missingOld;
if (skip) console.error(`# ${skip}`);
let server, browser;

before(async () => {
  if (skip) return;
  server = await serve({
    files: { '/axe.js': createRequire(import.meta.url).resolve('axe-core/axe.min.js') },
  });
  browser = await launchOldBrowser();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

async function open(query) {
  const page = await browser.newPage({
    viewport: { width: 672, height: 600 },
    reducedMotion: 'reduce',
  });
  await page.goto(`${server.origin}/gallery/gallery.html?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => globalThis.drawn);
  await page.waitForSelector('#lost [data-state=lost]');
  await page.waitForSelector('#stale [data-state=stale]');
  return page;
}

for (const theme of ['light', 'dark']) {
  test(`Chromium 119 shows every state: ${theme}`, { skip }, async () => {
    const page = await open({ theme });
    for (const name of Object.keys(states)) {
      const track = page.locator(`[id="${name}"] .progress-polling-track`);
      const { height } = await track.boundingBox();
      assert.equal(height, 10, `${name}: height of the track`);
    }
    for (const state of ['running', 'failed', 'stale', 'lost', 'cancelled']) {
      const contrast = await contrastOfBar(page, state);
      assert.ok(contrast >= 3, `${state}: ${contrast.toFixed(2)} to 1`);
    }
    await page.addScriptTag({ url: '/axe.js' });
    const { violations } = await page.evaluate(() => globalThis.axe.run('main'));
    assert.deepEqual(
      violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.failureSummary)}`),
      [],
    );
    await page.close();
  });
}

test('in Chromium 119 the fill of a right-to-left page starts at the right', { skip }, async () => {
  const page = await open({ dir: 'rtl' });
  const [track, fill] = await Promise.all(
    ['track', 'fill'].map((part) =>
      page.locator(`#running .progress-polling-${part}`).boundingBox(),
    ),
  );
  const filled = (track.x + track.width - fill.x) / track.width;
  assert.ok(Math.abs(filled - 0.42) < 0.01, `${filled}`);
  await page.close();
});
