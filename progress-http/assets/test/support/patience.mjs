import assert from 'node:assert/strict';

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until a condition holds, at most 10 s or the given time in milliseconds. */
export async function until(isSo, what, limit = 10_000) {
  for (const begun = performance.now(); !(await isSo()); await pause(10))
    assert.ok(performance.now() - begun < limit, `timed out after ${limit / 1000} s: ${what}`);
}

/**
 * Asserts that a measured time is right in one of three attempts. A busy machine is late now and
 * then, but a faulty widget each time. An error that `measure` throws is not retried.
 */
export async function holdsInThreeTries(measure, holds) {
  let seen;
  for (let tries = 0; tries < 3; tries += 1) {
    seen = await measure();
    if (holds(seen)) return;
  }
  assert.fail(`failed in three attempts: ${JSON.stringify(seen)}`);
}
