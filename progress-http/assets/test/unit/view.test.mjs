import assert from 'node:assert/strict';
import { test } from 'node:test';
import { count, toRecord, toState } from '../../src/record.js';
import { SilenceWatch } from '../../src/silence.js';
import { Translator } from '../../src/translator.js';
import { viewOf } from '../../src/view.js';
import { FakeClock } from '../support/fakes.mjs';

const en = new Translator('en', {});
const situation = { phase: 'live', error: null, offline: false, retryIn: 0, silence: null, cancellation: 'none' };
const view = (data, more = {}, translator = en) =>
  viewOf({ ...situation, record: data && toRecord(data), ...more }, translator);

test('a completed job tells how long it took, and its errors', () => {
  const line = (data, translator) => view({ status: 'completed', duration: 12.3, ...data }, {}, translator).line;
  assert.equal(line({}), 'Completed (12 s)');
  assert.equal(line({ failed_items: 3 }), 'Completed (12 s) - 3 errors');
  assert.equal(line({ failed_items: 1 }), 'Completed (12 s) - 1 error');
  assert.equal(line({ failed_items: 3, completion_message: 'All sent.' }), 'All sent.');
  assert.equal(line({ duration: undefined }), 'Completed');
  assert.equal(line({ failed_items: 3 }, new Translator('fr', {})), 'Terminé (12 s) - 3 erreurs');
});

test('a failed job keeps its percentage and says why', () => {
  const { state, percent, alert } = view({
    status: 'failed',
    progress_percentage: 42,
    error_message: 'No mail server.',
  });
  assert.deepEqual([state, percent, alert], ['failed', 42, 'No mail server.']);
  assert.equal(view({ status: 'failed' }).alert, 'The job has failed.');
});

test('a percentage that the server does not know is not made up', () => {
  const unknown = view({ status: 'running', progress_percentage: null, total_items: 10, processed_items: 5 });
  assert.deepEqual([unknown.percent, unknown.indeterminate, unknown.valueText], [null, true, '5 of 10']);
});

test('a server that does not speak of a percentage leaves it to the counts, rounded down', () => {
  const percent = (processed_items, total_items, status = 'running') =>
    view({ status, processed_items, total_items }).percent;
  assert.equal(percent(299, 300), 99);
  assert.equal(percent(300, 300), 99);
  assert.equal(percent(300, 300, 'completed'), 100);
  assert.equal(percent(301, 300), null);
  assert.equal(percent(0, 0), null);
  assert.equal(percent(5, undefined), null);
});

test('hostile fields are taken for missing ones', () => {
  for (const value of [null, NaN, -1, 1e999, '<b>', {}, [], true]) {
    const fields = [
      'total_items',
      'processed_items',
      'failed_items',
      'progress_percentage',
      'duration',
      'version',
      'poll_after_ms',
    ];
    const data = { status: 'running', ...Object.fromEntries(fields.map((field) => [field, value])) };
    const record = toRecord(data);
    assert.deepEqual(
      [record.total, record.processed, record.failed, record.percent, record.duration],
      [null, null, 0, null, null],
    );
    assert.deepEqual(toState(data), { status: 'running', ended: false });
    assert.equal(count(value), null);
  }
  for (const value of [null, 1, {}, [], true, ' ']) {
    const record = toRecord({
      custom_title: value,
      current_message: value,
      error_message: value,
      stale: value === true ? 1 : value,
      status: value,
    });
    assert.deepEqual(
      [record.title, record.message, record.errorMessage, record.stale, record.status],
      [null, null, null, false, 'pending'],
    );
  }
  assert.equal(toRecord({ progress_percentage: 250 }).percent, 100);
});

test('the trouble that matters most is shown', () => {
  const record = { status: 'running', stale: true, cancel_requested: true };
  const silence = { seconds: 40, atLeast: false };
  const state = (more) => view(record, { silence, ...more }).state;
  assert.equal(state({}), 'stale');
  assert.equal(state({ silence: null }), 'cancelling');
  assert.equal(state({ phase: 'retrying' }), 'reconnecting');
  assert.equal(state({ phase: 'retrying', offline: true }), 'offline');
  assert.equal(state({ phase: 'lost', offline: true }), 'lost');
  assert.equal(view({ status: 'completed' }, { phase: 'ended', offline: true }).state, 'completed');
  assert.equal(view(null, { phase: 'retrying', error: { kind: 'not-found' } }).state, 'connecting');
});

test('silence is counted on the clock of the page, from when it was noticed', async () => {
  const clock = new FakeClock();
  const watch = new SilenceWatch(clock);
  assert.equal(watch.of(toRecord({ status: 'running' })), null);
  const stale = toRecord({ status: 'running', stale: true });
  watch.of(stale);
  await clock.advance(25_300);
  const silence = watch.of(stale);
  assert.equal(view({ status: 'running' }, { silence }).line, 'No sign of life for 40 s');
  assert.equal(watch.of(toRecord({ status: 'running' })), null);
  assert.deepEqual(watch.of(stale), { seconds: 15, atLeast: false });
  assert.deepEqual(new SilenceWatch(clock).of(stale), { seconds: 15, atLeast: true });
});

test('durations and estimates are as fine as they are useful', () => {
  const durations = [0, 0.42, 12.3, 59.7, 61, 120, 3600, 8000];
  assert.deepEqual(
    durations.map((seconds) => en.duration(seconds)),
    ['0 s', '0.4 s', '12 s', '1 min', '1 min 1 s', '2 min', '1 h', '2 h 13 min'],
  );
  assert.deepEqual(
    [1, 12, 59, 61, 84, 4000].map((seconds) => en.estimate(seconds)),
    ['5 s', '15 s', '1 min', '2 min', '2 min', '1 h 7 min'],
  );
});

test('any text can be replaced, any language added, and a wrong tag does no harm', () => {
  assert.equal(new Translator('en', { running: 'Busy' }).text('running'), 'Busy');
  assert.equal(new Translator('fr-CA', {}).text('running'), 'En cours');
  const polish = new Translator('pl', {
    pl: { running: 'W toku', errorCount: { one: '{number} błąd', few: '{number} błędy', other: '{number} błędów' } },
  });
  assert.deepEqual([polish.text('running'), polish.text('failed')], ['W toku', 'Failed']);
  assert.deepEqual(
    [1, 3, 7].map((count) => polish.counted('errorCount', count)),
    ['1 błąd', '3 błędy', '7 błędów'],
  );
  assert.equal(new Translator('ja', {}).language, 'en');
  assert.equal(new Translator('not a tag', {}).text('running'), 'Running');
});
