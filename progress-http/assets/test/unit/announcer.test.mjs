import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAnnouncer } from '../../src/announcer.js';

/** Creates the announcers of some bars. All their announcements are in `spoken`. */
function createBars(number) {
  const spoken = [];
  const say = (_key, { title, text }) => `${title}: ${text}`;
  const bars = Array.from({ length: number }, (_, index) => {
    const node = { set textContent(text) { spoken.push(text); } };
    const { announce, leave } = createAnnouncer(node, { say }, 25);
    const show = (state, line = '', more = {}) =>
      announce({ state, line, percent: '10', texts: { title: `${index}`, badge: state }, ...more });
    return { show, leave };
  });
  return { bars, spoken };
}

test('ten bars that recover one after the other announce an outage and its end once', () => {
  const { bars, spoken } = createBars(10);
  for (const bar of bars) bar.show('running');
  spoken.length = 0;
  for (const bar of bars) bar.show('reconnecting', 'No response');
  bars.forEach((bar, index) => {
    bar.show('running');
    // The others are drawn every second, with the time until the next attempt.
    for (const other of bars.slice(index + 1)) other.show('reconnecting', 'Again in 1 s');
  });
  assert.deepEqual(spoken, ['0: No response', '0: running']);
  bars[3].show('reconnecting', 'No response');
  assert.equal(spoken.at(-1), '3: No response', 'the next outage is announced');
  bars[3].show('running');
});

test('a bar that is removed during an outage does not silence the next one', () => {
  const { bars, spoken } = createBars(2);
  bars[0].show('reconnecting', 'No response');
  bars[0].leave();
  bars[1].show('offline', 'Offline');
  bars[1].show('running');
  assert.deepEqual(spoken, ['0: No response', '1: Offline', '1: running']);
});

test('a new stage is announced once', () => {
  const { bars, spoken } = createBars(1);
  const [{ show }] = bars;
  const poll = (stage, percent = '10') => show('running', '', { stage, percent });
  show('waiting', '', { stage: '' });
  for (let polls = 0; polls < 3; polls += 1) poll('Step 1 of 3: Read');
  for (let polls = 0; polls < 3; polls += 1) poll('Step 2 of 3: Check');
  poll('Step 2 of 3: Check', '30');
  show('completed', 'Completed', { stage: '' });
  assert.deepEqual(spoken, [
    '0: waiting',
    '0: running, Step 1 of 3: Read',
    '0: running, Step 2 of 3: Check',
    '0: running',
    '0: Completed',
  ]);
});

test('a stage that began during an outage is announced after it', () => {
  const { bars, spoken } = createBars(1);
  const [{ show }] = bars;
  show('running', '', { stage: 'Step 1 of 3: Read' });
  show('reconnecting', 'No response', { stage: 'Step 1 of 3: Read' });
  show('running', '', { stage: 'Step 2 of 3: Check' });
  assert.equal(spoken.at(-1), '0: running, Step 2 of 3: Check');
});
