/** @import { JobRecord } from './record.js' */
/** @import { PollError } from './errors.js' */
/** @import { Phase } from './poller.js' */
/** @import { MessageKey } from './messages.js' */
/** @import { Translator } from './translator.js' */

/**
 * @typedef {'connecting' | 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled' | 'cancelling' | 'stale'
 *   | 'reconnecting' | 'offline' | 'lost'} State
 */

/**
 * What is known of the job and of the connection to it.
 *
 * @typedef {object} Situation
 * @property {JobRecord | null} record
 * @property {Phase} phase
 * @property {PollError | null} error
 * @property {boolean} offline
 * @property {number} retryIn milliseconds until the next attempt
 * @property {{ seconds: number, atLeast: boolean } | null} silence for how long the worker has been silent
 * @property {'none' | 'sent' | 'failed'} cancellation the reader's wish, on its way to the server
 */

/**
 * What the page shows, in words and numbers that need no further thought.
 *
 * @typedef {object} View
 * @property {State} state
 * @property {string} badge the state in a word
 * @property {string | null} title the job's own
 * @property {number | null} percent `null` when the end is not in sight
 * @property {boolean} indeterminate work goes on, but how far it has come is not known
 * @property {string} percentText
 * @property {string} valueText
 * @property {string} line
 * @property {boolean} essential the line says more than the job's own message
 * @property {string} timeLeft
 * @property {string} alert what has gone wrong for good
 * @property {boolean} cancellable a cancellation can be asked for now
 * @property {boolean} changing the words change with time alone
 * @property {{ key: MessageKey, label: string, value: string }[]} statistics
 */

/**
 * @param {Situation} situation
 * @param {Translator} translator
 * @returns {View}
 */
export function viewOf(situation, translator) {
  const { record } = situation;
  const state = stateOf(situation);
  const percent = record?.percent ?? null;
  const percentText = percent === null ? '' : translator.percent(percent);
  const counts =
    record && record.total !== null && record.processed !== null
      ? translator.text('countOfTotal', {
          processed: translator.number(record.processed),
          total: translator.number(record.total),
        })
      : '';
  const essential = lineOf(state, situation, translator);
  const timeLeft = state === 'running' ? record?.secondsLeft : null;
  return {
    state,
    badge: translator.text(state),
    title: record?.title ?? null,
    percent,
    indeterminate: percent === null && (state === 'running' || state === 'cancelling'),
    percentText,
    valueText: [percentText, counts].filter(Boolean).join(', ') || translator.text(state),
    line: essential || (record?.message ?? ''),
    essential: essential !== '',
    timeLeft: timeLeft ? translator.text('timeLeft', { duration: translator.estimate(timeLeft) }) : '',
    alert: alertOf(state, situation, translator),
    cancellable: !record?.cancelRequested && situation.cancellation !== 'sent',
    changing: state === 'stale' || state === 'reconnecting',
    statistics: statisticsOf(record, translator),
  };
}

/**
 * @param {Situation} situation
 * @returns {State}
 */
function stateOf({ record, phase, error, offline, silence }) {
  if (record?.ended) return /** @type {State} */ (record.status);
  if (phase === 'lost') return 'lost';
  if (offline) return 'offline';
  if (phase === 'retrying') return error?.kind === 'not-found' && !record ? 'connecting' : 'reconnecting';
  if (!record) return 'connecting';
  if (silence) return 'stale';
  if (record.cancelRequested) return 'cancelling';
  return record.status === 'running' ? 'running' : 'waiting';
}

/**
 * @param {State} state
 * @param {Situation} situation
 * @param {Translator} translator
 */
function lineOf(state, { record, error, retryIn, silence }, translator) {
  switch (state) {
    case 'completed':
      return record?.completionMessage ?? endingOf(record, translator);
    case 'connecting':
      return error ? translator.text('notYetFound') : '';
    case 'offline':
      return translator.text('offlineHint');
    case 'reconnecting': {
      const seconds = Math.ceil(retryIn / 1000);
      const next =
        seconds > 0
          ? translator.text('retryIn', { duration: translator.duration(seconds) })
          : translator.text('retryNow');
      return `${translator.text(error?.kind ?? 'network')} ${next}`;
    }
    case 'stale':
      return translator.text(silence?.atLeast ? 'noSignOfLifeAtLeast' : 'noSignOfLife', {
        duration: translator.duration(silence?.seconds ?? 0),
      });
    default:
      return '';
  }
}

/**
 * @param {JobRecord | null} record
 * @param {Translator} translator
 */
function endingOf(record, translator) {
  const { duration = null, failed = 0 } = record ?? {};
  const ending =
    duration === null
      ? translator.text('completed')
      : translator.text('completedIn', { duration: translator.duration(duration) });
  return failed ? `${ending} - ${translator.counted('errorCount', failed)}` : ending;
}

/**
 * @param {State} state
 * @param {Situation} situation
 * @param {Translator} translator
 */
function alertOf(state, { record, error, cancellation }, translator) {
  if (state === 'failed') return record?.errorMessage ?? translator.text('failedWithoutReason');
  if (state === 'lost') return translator.text(error?.kind ?? 'network');
  if (cancellation === 'failed' && !record?.ended) return translator.text('cancelFailed');
  return '';
}

/**
 * @param {JobRecord | null} record
 * @param {Translator} translator
 * @returns {View['statistics']}
 */
function statisticsOf(record, translator) {
  /** @type {[MessageKey, number | null | undefined][]} */
  const counts = [
    ['total', record?.total],
    ['processed', record?.processed],
    ['remaining', record?.remaining],
    ['errors', record?.failed || undefined],
  ];
  return counts
    .filter(([key, count]) => key !== 'errors' || count !== undefined)
    .map(([key, count]) => ({
      key,
      label: translator.text(key),
      value: typeof count === 'number' ? translator.number(count) : '–',
    }));
}
