import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

// The oldest browsers are Chrome 111, Firefox 113 and Safari 16.4.

const built = (name) => readFile(new URL(`../../dist/${name}`, import.meta.url), 'utf8');

test('the built style sheet contains no nesting', async () => {
  assert.doesNotMatch(await built('progress-polling.css'), /&/);
});

test('nothing depends on selectors or properties that are newer', async () => {
  const css = await built('progress-polling.css');
  assert.doesNotMatch(css, /light-dark|:has\(|:dir\(|@scope|anchor|field-sizing|text-wrap/);
  const script = await built('progress-polling.js');
  // Firefox 113 does not reflect ARIA attributes as properties.
  assert.doesNotMatch(script, /\.aria[A-Z]/);
});
