// npm run screenshots -- OUTDIR [SHEET]
//
// Writes one picture of each state in light and in dark, and of the whole gallery in French, from right to left
// and 320 pixels wide. SHEET is the style sheet of a framework to draw them with.
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { launch } from '../support/browser.mjs';
import { serve } from '../support/server.mjs';
import { states } from './states.js';

const [folder, sheet] = process.argv.slice(2);
if (!folder) throw new Error('Where to? npm run screenshots -- OUTDIR [SHEET]');
await mkdir(folder, { recursive: true });

const server = await serve({ files: sheet ? { '/sheet.css': resolve(sheet) } : {} });
const browser = await launch();

async function open(query, viewport = { width: 672, height: 600 }) {
  const page = await browser.newPage({ viewport, reducedMotion: 'no-preference', deviceScaleFactor: 1.5 });
  const parameters = new URLSearchParams({ ...query, ...(sheet && { sheet: '/sheet.css' }) });
  await page.goto(`${server.origin}/gallery/gallery.html?${parameters}`);
  await page.waitForFunction(() => globalThis.drawn);
  await page.waitForTimeout(1200);
  return page;
}

for (const theme of ['light', 'dark']) {
  const page = await open({ theme });
  for (const name of Object.keys(states)) {
    await page
      .locator('section', { has: page.locator(`[id="${name}"]`) })
      .screenshot({ path: join(folder, `${name}-${theme}.png`) });
  }
  await page.locator('main').screenshot({ path: join(folder, `all-${theme}.png`) });
  await page.close();
}

const others = { french: { lang: 'fr' }, 'right-to-left': { dir: 'rtl' } };
for (const [name, query] of Object.entries(others)) {
  const page = await open(query);
  await page.locator('main').screenshot({ path: join(folder, `all-${name}.png`) });
  await page.close();
}
const narrow = await open({ theme: 'light' }, { width: 320, height: 600 });
await narrow.locator('main').screenshot({ path: join(folder, 'all-narrow.png') });

await browser.close();
await server.close();
