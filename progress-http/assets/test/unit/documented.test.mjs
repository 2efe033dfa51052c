import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pollerOptions, widgetOptions } from '../../src/options.js';

const file = (path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
const inBackticks = (cell) =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text.replaceAll("'", ''));

/** Returns the names and the defaults in backticks of each row of the table of options. */
async function rows() {
  const [, , ...lines] = (await file('../README.md'))
    .match(/^\| option \|[\s\S]*?\n\n/m)[0]
    .trim()
    .split('\n');
  return lines.map((line) => line.split('|').slice(1, 3).map(inBackticks));
}

test('the README lists each declared option', async () => {
  const types = await file('src/progress-polling.d.ts');
  const declared = ['PollerOptions', 'WidgetOptions'].flatMap((name) => {
    const [, body] = new RegExp(`export interface ${name}.*?\\{\\n([\\s\\S]*?)\\n\\}`).exec(types);
    return [...body.matchAll(/^ {2}(\w+)\?:/gm)].map(([, option]) => option);
  });
  // Only tests set these two.
  const documented = (await rows()).flatMap(([names]) => names).concat('clock', 'random');
  assert.deepEqual(documented.sort(), declared.sort());
});

test('the README has the right defaults', async () => {
  globalThis.location ??= { origin: 'http://localhost' };
  const defaults = {
    ...pollerOptions({}),
    ...widgetOptions({}),
    endpoint: '/progress',
    credentials: 'same-origin',
  };
  let compared = 0;
  for (const [names, values] of await rows()) {
    if (names.length !== values.length) continue;
    for (const [index, name] of names.entries()) {
      assert.equal(values[index], `${defaults[name] ?? false}`, name);
      compared += 1;
    }
  }
  assert.ok(compared >= 18, `${compared} options`);
});
