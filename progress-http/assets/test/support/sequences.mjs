import assert from 'node:assert/strict';
import fc from 'fast-check';

// Sequences of records as a page gets them for one job: with stages, attempts, and totals that are
// unknown at first and grow. Polls miss records, and some are answered with an older one.

const items = fc.integer({ min: 1, max: 60 });

/** What a worker does from one record to the next. */
const anyStep = fc.oneof(
  { weight: 12, arbitrary: fc.record({ does: fc.constant('work'), items }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('grow'), items: fc.nat(2000) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('exceed'), items }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('next') }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('release'), kept: fc.nat(100) }) },
  { weight: 9, arbitrary: fc.record({ does: fc.constant('start') }) },
  fc.record({ does: fc.constantFrom('stall', 'cancel', 'fail', 'complete') }),
);

/** A poll misses so many records, and its answer is so many records old. */
const anyPoll = fc.record({ missed: fc.nat(2), age: fc.oneof(fc.constant(0), fc.nat(3)) });

/** The records that the polls of a page get, in their order. */
export const anySequence = fc
  .record({
    totals: fc.array(fc.option(fc.integer({ min: 1, max: 300 })), { minLength: 1, maxLength: 4 }),
    weights: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 4, maxLength: 4 }),
    most: fc.constantFrom(1, 3, 5),
    steps: fc.array(anyStep, { minLength: 10, maxLength: 40 }),
    polls: fc.array(anyPoll, { minLength: 10, maxLength: 30 }),
  })
  .map(({ polls, ...job }) => {
    const records = recordsOf(job);
    let newest = 0;
    return polls.map(({ missed, age }) => {
      newest = Math.min(newest + 1 + missed, records.length - 1);
      return records[Math.max(newest - age, 0)];
    });
  });

/** Returns the records of a job in the order of their versions. */
function recordsOf({ totals, weights, most, steps }) {
  const stages = totals.map((total, index) => ({
    name: `Stage ${index + 1}`,
    weight: weights[index],
    initial: total,
    total,
    processed: 0,
  }));
  const job = { status: 'pending', attempt: 0, stage: 0, kept: 100, stalled: false, most, stages };
  const records = [recordOf(job, 1)];
  for (const step of [{ does: 'start' }, ...steps])
    if (advance(job, step)) records.push(recordOf(job, records.length + 1));
  return records;
}

/** Changes the job, as the state machine of the server does. Returns false for a refused step. */
function advance(job, { does, items: number, kept }) {
  const current = job.stages[job.stage];
  if (job.status !== (does === 'start' ? 'pending' : 'running')) return false;
  if (does === 'start') {
    // An attempt starts from its cursor: in the same stage or in an earlier one.
    const stage = Math.floor((job.stage * job.kept) / 100);
    for (const later of job.stages.slice(stage + 1))
      Object.assign(later, { processed: 0, total: later.initial });
    if (job.attempt > 0) {
      const cursor = job.stages[stage];
      cursor.processed = Math.floor((cursor.processed * job.kept) / 100);
    }
    Object.assign(job, { status: 'running', attempt: job.attempt + 1, stage, stalled: false });
  } else if (does === 'work') {
    current.processed += number;
    if (current.total !== null) current.total = Math.max(current.total, current.processed);
  } else if (does === 'exceed') {
    // A worker that said too small a total. The percentage is unknown until it says a larger one.
    if (job.stages.length > 1 || current.total === null) return false;
    current.processed = Math.max(current.processed, current.total) + number;
  } else if (does === 'grow') {
    current.total = Math.max(current.total ?? 0, current.processed) + number;
  } else if (does === 'next') {
    if (job.stage === job.stages.length - 1) return false;
    job.stage += 1;
  } else if (does === 'release') {
    if (job.attempt >= job.most) return false;
    Object.assign(job, { status: 'pending', kept });
  } else if (does === 'stall') job.stalled = true;
  else job.status = { cancel: 'cancelled', fail: 'failed', complete: 'completed' }[does];
  return true;
}

/** Returns the record as the server sends it. */
function recordOf({ status, attempt, stage, stalled, most, stages }, version) {
  const { processed, total } = stages[stage];
  const shares = stages.map(({ processed: done, total: all, weight }, index) => {
    if (index < stage || status === 'completed') return weight;
    return index === stage && all ? (weight * done) / all : 0;
  });
  const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
  const isUnknown = stages.length === 1 && (!total || processed > total);
  const percentage = (100 * sum(shares)) / sum(stages.map(({ weight }) => weight));
  const stateOf = (index) =>
    index < stage || status === 'completed' ? 'completed' : index > stage ? 'pending' : status;
  return {
    status,
    version,
    created_at: '2026-03-02T09:14:03Z',
    processed_items: processed,
    total_items: total,
    failed_items: 0,
    remaining_items: total === null ? null : Math.max(total - processed, 0),
    progress_percentage: isUnknown && status !== 'completed' ? null : percentage,
    stalled,
    ...(most > 1 && { attempt, max_attempts: most, retrying: status === 'pending' && attempt > 0 }),
    ...(stages.length > 1 && {
      stage: stage + 1,
      stages: stages.map(({ name, weight }, index) => ({ name, weight, state: stateOf(index) })),
    }),
  };
}

/**
 * Asserts that what a page showed in turn is true, and that it explains each lower percentage.
 *
 * @param {{ data: any, percent: string | null, processed: string, badge: string, message: string,
 *   valueText: string }[]} seen the record of each answer, and what the page showed then
 * @returns {{ grown: number, again: number }} how often a percentage fell, by the cause
 */
export function assertExplained(seen) {
  const falls = { grown: 0, again: 0 };
  let highest = 0;
  seen.forEach((now, index) => {
    const { data, message, valueText } = now;
    const before = seen[index - 1] ?? now;
    const isNewAttempt = data.attempt !== before.data.attempt;
    const isEnded = ['completed', 'failed', 'cancelled'].includes(data.status);
    if (!isNewAttempt && data.stage === before.data.stage)
      assert.ok(numberIn(now.processed) >= numberIn(before.processed), 'a count never falls');
    if (isNewAttempt) highest = 0;
    const percent = Number(now.percent);
    const hasFallen = now.percent !== null && percent < Number(before.percent);
    if (hasFallen && isNewAttempt) {
      falls.again += 1;
      const { attempt, max_attempts: most } = data;
      const says =
        data.status === 'pending'
          ? now.badge === `Retrying: ${attempt + 1} of ${most}`
          : message.startsWith(`Attempt ${attempt} of ${most}`);
      assert.ok(says, `the page says that attempt ${attempt} runs: ${message}`);
    } else if (hasFallen) {
      falls.grown += 1;
      assert.equal(data.stage, before.data.stage);
      assert.ok(data.total_items > before.data.total_items, 'only if the total grew');
    }
    const note = `total grew to ${data.total_items?.toLocaleString('en')}`;
    const isLower = now.percent !== null && percent < highest && !isEnded;
    for (const text of [message, valueText])
      assert.equal(text.split(note).length - 1, isLower ? 1 : 0, `${percent} %: ${text}`);
    highest = Math.max(highest, percent);
  });
  return falls;
}

const numberIn = (text) => Number(text.replaceAll(',', ''));
