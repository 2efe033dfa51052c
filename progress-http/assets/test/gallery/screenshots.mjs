// npm run screenshots -- FOLDER
//
// Takes a screenshot of every state in light and in dark, 390 and 1,280 pixels wide: alone, with
// Fomantic's style sheet and with Bootstrap's, and alone in Chromium 119 if it is installed. Then
// of the whole gallery in French, from right to left, in forced colours and 320 pixels wide.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from '../support/browser.mjs';
import { FRAMEWORKS } from '../support/frameworks.mjs';
import { launchOldBrowser, missingOld } from '../support/old-browser.mjs';
import { serve } from '../support/server.mjs';
import { states } from './states.js';

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('usage: npm run screenshots -- FOLDER');

const server = await serve();

/** Opens the gallery in a page of its own. */
async function open(browser, query, viewport = { width: 672, height: 600 }, media = {}) {
  const page = await browser.newPage({ viewport, deviceScaleFactor: 1.5, ...media });
  await page.goto(`${server.origin}/gallery/gallery.html?${new URLSearchParams(query)}`);
  await page.waitForFunction(() => globalThis.drawn);
  await page.waitForTimeout(1200);
  return page;
}

/** Takes a screenshot of each state, and one of all. */
async function picture(browser, name, query) {
  for (const width of [390, 1280]) {
    const place = join(folder, `${name}-${width}`);
    await mkdir(place, { recursive: true });
    for (const theme of ['light', 'dark']) {
      const page = await open(browser, { ...query, theme, wide: width }, { width, height: 600 });
      for (const state of Object.keys(states)) {
        await page
          .locator('section', { has: page.locator(`[id="${state}"]`) })
          .screenshot({ path: join(place, `${state}-${theme}.png`) });
      }
      await page.locator('main').screenshot({ path: join(place, `all-${theme}.png`) });
      await page.close();
    }
  }
}

const browser = await launch();
for (const [framework, query] of Object.entries(FRAMEWORKS))
  await picture(browser, framework, query);

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
  const page = await open(browser, ...how);
  await page.locator('main').screenshot({ path: join(folder, `all-${name}.png`) });
  await page.close();
}
await browser.close();

if (missingOld) console.error(missingOld);
else {
  const old = await launchOldBrowser();
  await picture(old, 'chromium-119', {});
  await old.close();
}
await server.close();
