import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toState } from '../../src/record.js';
import { translator } from '../../src/translator.js';
import { viewOf } from '../../src/view.js';

const en = translator('en', {});
const view = (
  snapshot,
  {
    phase = 'live',
    error = null,
    due = 0,
    offline = false,
    words = en,
    silence = false,
    cancellation = undefined,
    highest = 0,
  } = {},
) =>
  viewOf(
    { snapshot, _phase: phase, error, _due: due, offline },
    words,
    0,
    silence,
    cancellation,
    highest,
  );

test('a completed job shows its duration and errors', () => {
  const line = (data, words) =>
    view({ status: 'completed', duration: 12.3, ...data }, { words }).line;
  assert.equal(line({}), 'Completed (12 s)');
  assert.equal(line({ failed_items: 3 }), 'Completed (12 s) - 3 errors');
  assert.equal(line({ failed_items: 1 }), 'Completed (12 s) - 1 error');
  assert.equal(line({ failed_items: 3, completion_message: 'All sent.' }), 'All sent.');
  assert.equal(line({ duration: undefined }), 'Completed');
  assert.equal(line({ failed_items: 3 }, translator('fr', {})), 'Terminé (12 s) - 3 erreurs');
});

test('a failed job keeps its percentage and shows the reason', () => {
  const { state, percent, texts } = view({
    status: 'failed',
    progress_percentage: 42,
    error_message: 'No mail server.',
  });
  assert.deepEqual(
    [state, percent, texts.percent, texts.alert],
    ['failed', '42', '42%', 'No mail server.'],
  );
  assert.equal(view({ status: 'failed' }).texts.alert, 'Failed');
});

test('an unknown percentage stays unknown', () => {
  const unknown = view({
    status: 'running',
    progress_percentage: null,
    total_items: 10,
    processed_items: 5,
  });
  assert.deepEqual(
    [unknown.percent, unknown.state, unknown.value],
    ['', 'running', '5 of 10'],
  );
});

test('a percentage is rounded down, and no more than 100', () => {
  const percent = (progress_percentage, status = 'running') =>
    view({ status, progress_percentage }).percent;
  assert.deepEqual(
    [0, 41.9, 99.99, 100, 250].map((value) => percent(value)),
    ['0', '41', '99', '100', '100'],
  );
  assert.equal(percent(undefined, 'completed'), '100');
});

test('invalid fields count as missing', () => {
  const counts = [
    'total_items',
    'processed_items',
    'failed_items',
    'remaining_items',
    'progress_percentage',
    'duration',
  ];
  const texts = ['custom_title', 'current_message', 'error_message', 'completion_message'];
  const hostile = (fields, value) => Object.fromEntries(fields.map((field) => [field, value]));
  const missing = (status) => view({ status });
  for (const status of ['running', 'completed', 'failed']) {
    for (const value of [null, NaN, -1, 1e999, '<b>', {}, [], true]) {
      assert.deepEqual(
        view({ status, estimated_remaining_time: value, ...hostile(counts, value) }),
        missing(status),
      );
    }
    for (const value of [null, 1, {}, [], true, ' ']) {
      assert.deepEqual(
        view({ status, cancel_requested: value === true ? 1 : value, ...hostile(texts, value) }),
        missing(status),
      );
    }
  }
  for (const status of [null, 1, {}, [], 'toString', '__proto__']) {
    assert.equal(toState({ status }).ended, false);
    assert.equal(view({ status }).state, 'waiting');
  }
});

test('the most important problem is shown', () => {
  const record = { status: 'running', cancel_requested: true };
  const error = { kind: 'server' };
  const state = (more) => view(record, { silence: '40 s', ...more }).state;
  assert.equal(state({}), 'stale');
  assert.equal(state({ silence: false }), 'cancelling');
  assert.equal(view({ status: 'running', stalled: true }).state, 'stalled');
  assert.equal(view({ status: 'completed', stalled: true }).state, 'completed');
  const retrying = { status: 'pending', retrying: true, attempt: 1, max_attempts: 3 };
  const waiting = view({ ...retrying, error_message: 'The disk is full.' });
  assert.deepEqual(
    [waiting.state, waiting.tone, waiting.texts.badge, waiting.line],
    ['retrying', 'warning', 'Retrying: 2 of 3', 'The disk is full.'],
  );
  assert.equal(view({ ...retrying, status: 'running' }).state, 'running');
  assert.equal(state({ error }), 'reconnecting');
  // The browser's word counts only if the server cannot be reached either.
  assert.equal(state({ offline: true, silence: false }), 'cancelling');
  assert.equal(state({ error, offline: true }), 'reconnecting');
  assert.equal(state({ error: { kind: 'network' }, offline: true }), 'offline');
  assert.equal(state({ error: { kind: 'signed-out' } }), 'signed-out');
  assert.equal(state({ error, phase: 'lost', offline: true }), 'lost');
  assert.equal(view({ status: 'completed' }, { phase: 'ended', offline: true }).state, 'completed');
  assert.equal(view(null).state, 'connecting');
  assert.equal(view(null, { error: { kind: 'not-found' } }).state, 'connecting');
  assert.equal(view(null, { error }).state, 'reconnecting');
});

test('a problem shows when the next attempt is, if that is known', () => {
  const error = { kind: 'server' };
  assert.equal(view(null, { error, due: 7300 }).line, 'Server unavailable. Retrying in 8 s.');
  assert.equal(view(null, { error, due: 0 }).line, 'Server unavailable.');
  assert.equal(view({}, { silence: '40 s' }).line, 'No heartbeat for 40 s');
});

test('durations and estimates have a sensible precision', () => {
  const durations = [0, 0.42, 12.3, 59.7, 61, 120, 3600, 8000];
  assert.deepEqual(
    durations.map((seconds) => en.duration(seconds)),
    ['0 s', '0.4 s', '12 s', '59 s', '1 min 1 s', '2 min', '1 h', '2 h 13 min'],
  );
  assert.deepEqual(
    [1, 12, 59, 61, 84, 4000].map(
      (estimated_remaining_time) =>
        view({ status: 'running', estimated_remaining_time }).texts['time-left'],
    ),
    ['5 s', '15 s', '1 min', '2 min', '2 min', '1 h 7 min'].map(
      (duration) => `about ${duration} left`,
    ),
  );
});

test('texts can be replaced, languages added, and an invalid tag means English', () => {
  assert.equal(translator('en', { running: 'Busy' }).say('running'), 'Busy');
  assert.equal(translator('fr-CA', {}).say('running'), 'En cours');
  const polish = translator('pl', {
    pl: {
      running: 'W toku',
      errorCount: { one: '{number} błąd', few: '{number} błędy', other: '{number} błędów' },
    },
  });
  assert.deepEqual([polish.say('running'), polish.say('failed')], ['W toku', 'Failed']);
  assert.deepEqual(
    [1, 3, 7].map((number) => polish.say('errorCount', { number })),
    ['1 błąd', '3 błędy', '7 błędów'],
  );
  assert.equal(translator('ja', {}).language, 'en');
  assert.equal(translator('not a tag', {}).say('running'), 'Running');
});

test('a cancellation never shows two statements', () => {
  const record = { status: 'running', processed_items: 52 };
  const shown = (cancellation, more) => {
    const { state, cancellable, texts } = view({ ...record, ...more }, { cancellation });
    return [state, texts.question, cancellable, texts.alert];
  };
  const failed = 'The job could not be cancelled.';
  assert.deepEqual(shown(undefined), ['running', '', true, '']);
  const question = 'Cancel the job? Processed: 52.';
  assert.deepEqual(shown('asking'), ['running', question, false, '']);
  assert.deepEqual(shown('sent'), ['cancelling', '', false, '']);
  assert.deepEqual(shown('unsure'), ['cancelling', '', false, '']);
  assert.deepEqual(shown('failed'), ['running', '', true, failed]);
  assert.deepEqual(shown('failed', { cancel_requested: true }), ['cancelling', '', false, '']);
  assert.deepEqual(shown('asking', { status: 'completed' }), ['completed', '', false, '']);
});

test('French has a no-break space before a colon and a question mark', () => {
  const fr = translator('fr', {});
  const announced = fr.say('announcement', { title: 'factures', text: 'Annulé' });
  assert.equal(announced, 'factures\u00a0: Annulé');
  assert.match(fr.say('confirmCancel', { number: 52 }), /tâche\u00a0\? .*\u00a0: 52\.$/);
  assert.match(fr.say('dropped', { number: 3 }), /\u00a0: 3$/);
});

test('the error message of a job is not a template', () => {
  const reason = 'unexpected {constructor} and {__proto__} in {number}';
  assert.equal(view({ status: 'failed', error_message: reason }).texts.alert, reason);
});

test('a missing language means English', () => {
  assert.equal(translator(undefined, {}).say('cancel'), 'Cancel');
});
