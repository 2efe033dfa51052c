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
    peak = undefined,
  } = {},
) =>
  viewOf(
    { snapshot, _phase: phase, error, _due: due, offline },
    words,
    0,
    silence,
    cancellation,
    peak,
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

const STAGES = [
  { name: 'Read', weight: 1, state: 'completed' },
  { name: 'Check', weight: 2, state: 'running' },
  { name: 'Import', weight: 7, state: 'pending' },
];
const staged = {
  status: 'running',
  stages: STAGES,
  stage: 2,
  stage_percentage: 40,
  progress_percentage: 18,
  processed_items: 400,
  total_items: 1000,
};

test('the step is shown from the first start until the job has completed', () => {
  const step = (more, situation) => view({ ...staged, ...more }, situation);
  const { message } = step({ current_message: 'Line 400' }).texts;
  assert.equal(message, 'Step 2 of 3: Check – Line 400');
  assert.equal(step({}).texts.message, 'Step 2 of 3: Check');
  assert.equal(step({}).value, '18%, 400 of 1,000, Step 2 of 3: Check');
  for (const status of ['failed', 'cancelled'])
    assert.equal(step({ status }).texts.message, 'Step 2 of 3: Check');
  for (const status of ['pending', 'completed'])
    assert.doesNotMatch(step({ status }).texts.message + step({ status }).value, /Step/);
  assert.equal(
    step({}, { silence: '40 s' }).texts.message,
    'Step 2 of 3: Check – No heartbeat for 40 s',
  );
  assert.equal(step({}, { words: translator('fr', {}) }).stage, 'Étape 2 sur 3\u00a0: Check');
  const own = translator('en', { stage: '{name} ({number}/{total})' });
  assert.equal(step({}, { words: own }).stage, 'Check (2/3)');
});

test('a job with stages has a percentage even if the total is unknown', () => {
  const { percent, value } = view({ ...staged, total_items: null, progress_percentage: 10 });
  assert.deepEqual([percent, value], ['10', '10%, Step 2 of 3: Check']);
});

test('invalid stages count as missing', () => {
  const without = view({ ...staged, stages: undefined, stage: undefined });
  for (const stages of [null, 1, 'Read', {}, true, []])
    assert.deepEqual(view({ ...staged, stages }), without);
  for (const stage of [null, 0, -1, 4, 1.5, NaN, 'two', {}, []])
    assert.ok(!view({ ...staged, stage }).stage, `${stage}`);
  for (const name of [null, 7, '', ' ', {}])
    assert.ok(!view({ ...staged, stages: [{}, { name }] }).stage);
  assert.ok(!view({ ...staged, stages: [null, null] }).stage);
});

test('a percentage that fell is explained by the total, until it is back', () => {
  const peak = { percent: '20', total: 1000 };
  const grown = (more, situation) =>
    view({ ...staged, stages: null, total_items: 1200, ...more }, { peak, ...situation });
  assert.equal(grown({}).texts.message, 'total grew to 1,200');
  assert.equal(grown({ current_message: 'Row 7' }).texts.message, 'total grew to 1,200 – Row 7');
  assert.equal(grown({}).value, '18%, 400 of 1,200, total grew to 1,200');
  assert.equal(grown({}).percent, '18');
  assert.equal(
    view({ ...staged, total_items: 1200 }, { peak }).texts.message,
    'Step 2 of 3: Check – total grew to 1,200',
  );
  const french = grown({}, { words: translator('fr', {}) }).texts.message;
  assert.match(french, /^total porté à 1\s200$/);
  for (const progress_percentage of [20, 20.9, 21])
    assert.equal(grown({ progress_percentage }).texts.message, '');
  for (const status of ['failed', 'cancelled', 'completed'])
    assert.doesNotMatch(grown({ status }).value, /grew/);
  assert.equal(grown({ total_items: null }).texts.message, '');
  assert.equal(grown({ total_items: 1000 }).texts.message, '', 'the total is what it was');
  assert.equal(grown({ attempt: 1 }).texts.message, '', 'another attempt');
  assert.match(grown({ attempt: 1 }, { peak: { attempt: 1, ...peak } }).value, /grew to 1,200$/);
  assert.equal(grown({ progress_percentage: null }).texts.message, '');
});

test('an attempt after the first is shown from its start', () => {
  const again = (more, situation) =>
    view({ status: 'running', attempt: 2, max_attempts: 5, ...more }, situation);
  assert.equal(again({ current_message: 'Row 7' }).texts.message, 'Attempt 2 of 5 – Row 7');
  assert.equal(again({ progress_percentage: 3 }).value, '3%, Attempt 2 of 5');
  assert.deepEqual([again({}).texts.badge, again({}).tone], ['Running', 'active']);
  assert.equal(
    again({}, { silence: '40 s' }).texts.message,
    'Attempt 2 of 5 – No heartbeat for 40 s',
  );
  assert.equal(again({}, { words: translator('fr', {}) }).texts.message, 'Essai 2 sur 5');
  assert.equal(
    again({ ...staged, current_message: 'Row 7' }).texts.message,
    'Attempt 2 of 5, Step 2 of 3: Check – Row 7',
  );
  assert.equal(again({ attempt: 1 }).texts.message, '');
  assert.equal(again({ status: 'pending', retrying: true }).texts.message, '');
  assert.equal(again({ status: 'completed' }).texts.message, 'Completed');
});

test('a retry shows its time of day, if that is in the future', () => {
  const retrying = { status: 'pending', retrying: true, attempt: 1, max_attempts: 5 };
  const soon = new Date(Date.now() + 60_000);
  const line = (more) => view({ ...retrying, error_message: 'The disk is full.', ...more }).line;
  assert.equal(
    line({ retry_at: soon.toISOString() }),
    `The disk is full. Retrying at ${soon.toLocaleTimeString('en')}.`,
  );
  for (const retry_at of [undefined, null, 'soon', {}, '2020-01-01T00:00:00Z'])
    assert.equal(line({ retry_at }), 'The disk is full.');
  assert.equal(line({ status: 'running', retry_at: soon.toISOString() }), '');
  // The error of a retry is translated like that of a failed job, and a single word is not.
  const fr = { words: translator('fr', {}) };
  const reason = (error_message) => view({ ...retrying, error_message }, fr).line;
  assert.equal(reason('the worker was restarted'), 'Le processus a redémarré.');
  assert.equal(reason('timeout'), 'timeout');
});

test('a job without attempts left says how many there were', () => {
  const error_message = 'The disk is full.';
  const failed = { status: 'failed', attempt: 5, max_attempts: 5, error_message };
  const alert = (more) => view({ ...failed, ...more }).texts.alert;
  assert.equal(alert({}), 'The disk is full. (after 5 attempts)');
  assert.equal(alert({ error_message: null }), 'Failed (after 5 attempts)');
  // A permanent failure ends the job earlier.
  assert.equal(alert({ attempt: 2 }), 'The disk is full.');
  assert.equal(alert({ attempt: 1, max_attempts: 1 }), 'The disk is full.');
  assert.equal(alert({ attempt: undefined, max_attempts: undefined }), 'The disk is full.');
  assert.equal(view(failed).tone, 'error');
});

test('an English text that is its key is not repeated', () => {
  assert.equal(en.say('running'), 'Running');
  assert.equal(en.say('total'), 'Total');
  assert.equal(translator('fr', {}).say('total'), 'Total');
  assert.equal(en.say('worker lost'), 'Worker lost');
  assert.equal(en.say('a text that is not built in'), 'a text that is not built in');
});
