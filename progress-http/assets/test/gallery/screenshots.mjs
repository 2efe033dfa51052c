// npm run screenshots -- FOLDER
//
// Takes a screenshot of every state in light and in dark: alone, with Fomantic's style sheet and
// with Bootstrap's. Then of the whole gallery in French, from right to left, in forced colours and
// 320 pixels wide.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from '../support/browser.mjs';
import { FRAMEWORKS } from '../support/frameworks.mjs';
import { serve } from '../support/server.mjs';
import { states } from './states.js';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: npm run screenshots -- FOLDER');

const server = await serve();
const browser = await launch();

async function open(query, viewport = { width: 672, height: 600 }, media = {}) {
  const page = await browser.newPage({ viewport, deviceScaleFactor: 1.5, ...media });
  await page.goto(`${server.origin}/gallery/gallery.html?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => globalThis.drawn);
  await page.waitForTimeout(1200);
  return page;
}

for (const [framework, query] of Object.entries(FRAMEWORKS)) {
  const place = join(folder, framework);
  await mkdir(place, { recursive: true });
  for (const theme of ['light', 'dark']) {
    const page = await open({ ...query, theme });
    for (const name of Object.keys(states)) {
      await page
        .locator('section', { has: page.locator(`[id="${name}"]`) })
        .screenshot({ path: join(place, `${name}-${theme}.png`) });
    }
    await page.locator('main').screenshot({ path: join(place, `all-${theme}.png`) });
    await page.close();
  }
}

const others = {
  french: [{ lang: 'fr' }],
  'right-to-left': [{ dir: 'rtl' }],
  narrow: [{ theme: 'light' }, { width: 320, height: 600 }],
  'narrow-french': [
    { theme: 'dark', lang: 'fr' },
    { width: 320, height: 600 },
  ],
  'forced-colours': [{}, undefined, { forcedColors: 'active' }],
  'forced-colours-dark': [{}, undefined, { forcedColors: 'active', colorScheme: 'dark' }],
};
for (const [name, how] of Object.entries(others)) {
  const page = await open(...how);
  await page.locator('main').screenshot({ path: join(folder, `all-${name}.png`) });
  await page.close();
}

await browser.close();
await server.close();
