/** @import { ProgressPoller } from './poller.js' */
/** @import { Translator } from './translator.js' */
import { count, text, toState } from './record.js';

/**
 * @typedef {'connecting' | 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
 *   | 'cancelling' | 'stale' | 'stalled' | 'retrying' | 'reconnecting' | 'offline' | 'signed-out'
 *   | 'lost'} State
 */

/**
 * How good a state is: the word of Semantic UI, which colors its bar by it. Others are warnings.
 *
 * @type {Partial<Record<State, '' | 'active' | 'success' | 'error'>>}
 */
const TONES = {
  connecting: '',
  waiting: '',
  running: 'active',
  completed: 'success',
  failed: 'error',
  cancelled: '',
  cancelling: '',
  lost: 'error',
};

/**
 * The part of the poller's state that the view depends on.
 *
 * @typedef {Pick<ProgressPoller, 'snapshot' | '_phase' | 'error' | '_due' | 'offline'>} Connection
 */

/**
 * The state of the cancel request: `asking` for confirmation · `sent` · `unsure` whether it
 * arrived, until the record was read again · `failed`
 *
 * @typedef {'asking' | 'sent' | 'unsure' | 'failed' | undefined} Cancellation
 */

/**
 * The texts and values that the widget shows.
 *
 * @typedef {ReturnType<typeof viewOf>} View
 */

/**
 * @param {Connection} poller
 * @param {Translator} translator
 * @param {number} now on the poller's clock
 * @param {string | false} silence how long the worker has not responded; false if it responds
 * @param {Cancellation} cancellation
 * @param {any} [peak] the view with the highest percentage so far
 */
export function viewOf(
  { snapshot, _phase: phase, error, _due: due, offline },
  translator,
  now,
  silence,
  cancellation,
  peak,
) {
  const { language, say, duration } = translator;
  const data = snapshot ?? {};
  const { status, ended } = toState(data);
  const total = /** @type {any} */ (count(data.total_items));
  const processed = count(data.processed_items);
  const failed = count(data.failed_items) ?? 0;
  const errorCount = failed && say('errorCount', { number: failed });
  const taken = count(data.duration);
  const secondsLeft = count(data.estimated_remaining_time);
  const requested = cancellation === 'sent' || cancellation === 'unsure';
  const cancelling = data.cancel_requested === true || requested;
  const asking = cancellation === 'asking';
  const { href, label } = Object(data.result);
  const trouble = error?.kind ?? 'network';
  const told = text(data.error_message);
  // Translates known messages of the server. Not a single word, which could be another key.
  const reason = told.includes(' ') ? say(told) : told;
  // Only a job that may run more than once has these.
  const { attempt, max_attempts: attempts } = /** @type {any} */ (data);
  const retryAt = new Date(/** @type {any} */ (data).retry_at);
  // Only a job with stages has these.
  /** @type {any[]} */
  const stages = Array.isArray(data.stages) ? data.stages : [];
  const name = text(stages[/** @type {any} */ (data).stage - 1]?.name);

  // The most important problem determines the state.
  /** @type {State} */
  let state = 'connecting';
  let line = '';
  let alert = '';
  if (ended) {
    state = /** @type {State} */ (status);
    if (state === 'failed') {
      alert = reason || say(state);
      if (attempt > 1 && attempt >= attempts)
        alert += ` (${say('attempts', { number: attempt })})`;
    }
    if (state === 'completed') {
      line = taken === null ? say(state) : `${say(state)} (${duration(taken)})`;
      line = text(data.completion_message) || [line, errorCount].filter(Boolean).join(' - ');
    }
  } else if (phase === 'lost') {
    state = phase;
    alert = say(trouble);
  } else {
    if (cancellation === 'failed' && !cancelling) alert = say('cancelFailed');
    if (trouble === 'signed-out') {
      state = trouble;
      line = say('signInAgain');
    } else if (error && (snapshot || trouble !== 'not-found')) {
      state = offline && trouble === 'network' ? 'offline' : 'reconnecting';
      line = say(trouble);
      // The next attempt may be under way.
      if (due > now)
        line += ` ${say('retryIn', { duration: duration(Math.ceil((due - now) / 1000)) })}`;
    } else if (silence) {
      state = 'stale';
      line = say('silent', { duration: silence });
    } else if (cancelling) state = 'cancelling';
    else if (status === 'running') state = data.stalled === true ? 'stalled' : status;
    else if (data.retrying === true) {
      state = 'retrying';
      line = reason;
      // By the viewer's clock, which may be wrong, so a time in the past is not shown.
      if (Number(retryAt) > Date.now())
        line += ` ${say('retryAt', { time: retryAt.toLocaleTimeString(language) })}`;
    } else if (snapshot) state = 'waiting';
  }

  // Rounded down, so that 100 % is never shown too early.
  const share = status === 'completed' ? 100 : count(data.progress_percentage);
  const percent = share === null ? '' : `${Math.min(Math.floor(share), 100)}`;
  const percentText =
    percent && (Number(percent) / 100).toLocaleString(language, { style: 'percent' });
  const countText =
    total !== null && processed !== null && say('countOfTotal', { number: processed, total });
  const badge = say(state, { number: attempt + 1, total: attempts });
  const stage =
    status !== 'pending' &&
    status !== 'completed' &&
    [
      attempt > 1 && say('attempt', { number: attempt, total: attempts }),
      name && say('stage', { number: Number(data.stage), total: stages.length, name }),
    ]
      .filter(Boolean)
      .join(', ');
  const lower = attempt === peak?.attempt && Number(percent) < Number(peak?.percent);
  // Only if the total is larger than it was, because else this would not be the reason.
  const grown =
    lower && percent && !ended && total > peak.total && say('grown', { number: total });
  const over = ended || phase === 'lost';
  const show = (/** @type {number | null} */ value) => value?.toLocaleString(language) ?? '–';
  // In steps, because the estimate is not exact and would flicker.
  const step = /** @type {number} */ (secondsLeft) < 60 ? 5 : 60;
  return {
    state,
    tone: (state === 'completed' && failed ? null : TONES[state]) ?? 'warning',
    /** Whole digits; empty if it is unknown. */
    percent,
    total,
    attempt,
    /** Whether the percentage is lower than before in this attempt. */
    lower,
    /** The text of the bar for screen readers. */
    value: [percentText, countText, stage, grown].filter(Boolean).join(', ') || badge,
    line,
    /** The number of errors, as a text; 0 without one. */
    errors: errorCount,
    /** The attempt, unless it is the first, and the stage. */
    stage,
    /** The stages, not checked. */
    stages,
    /** The text of each part. */
    texts: {
      title: text(data.custom_title) || say('title'),
      badge,
      percent: percentText,
      message: [stage, grown, line || text(data.current_message)].filter(Boolean).join(' – '),
      'time-left':
        state === 'running' && secondsLeft
          ? say('time-left', { duration: duration(Math.ceil(secondsLeft / step) * step) })
          : '',
      alert,
      total: show(total),
      processed: show(processed),
      remaining: show(count(data.remaining_items)),
      errors: failed ? show(failed) : '',
      result: text(label) || say('result'),
      /** Before a job is cancelled; empty if it is not asked. */
      question:
        asking && !ended && !cancelling ? say('confirmCancel', { number: processed ?? 0 }) : '',
    },
    /** The address of the result, not checked. */
    href: state === 'completed' && href,
    /** Nothing more happens by itself. */
    over,
    cancellable: !!snapshot && !over && !cancelling && !asking,
  };
}
