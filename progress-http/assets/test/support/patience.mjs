import assert from 'node:assert/strict';

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Resolves when it is so; nobody would wait for longer. */
export async function until(isSo, what) {
  for (const begun = performance.now(); !(await isSo()); await pause(10))
    assert.ok(performance.now() - begun < 10_000, `for ten seconds not: ${what}`);
}

/**
 * For what a clock tells: holds in one of three tries. A machine that has other things to do may be late by itself, a widget
 * that waits for its turn is late each time. Whatever else a measurement finds wrong has no second try.
 */
export async function holdsInThreeTries(measure, holds) {
  let seen;
  for (let tries = 0; tries < 3; tries += 1) {
    seen = await measure();
    if (holds(seen)) return;
  }
  assert.fail(`in three tries: ${JSON.stringify(seen)}`);
}
