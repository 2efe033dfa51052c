/** Every state of the widget with its responses, shared by the gallery and the browser tests. */

const running = {
  job_id: '6f1c1a52-5c0e-4a55-9a0b-0c8f5f0e7d11',
  task_type: 'invoice',
  status: 'running',
  total_items: 5000,
  processed_items: 2113,
  failed_items: 0,
  remaining_items: 2887,
  progress_percentage: 42,
  current_message: 'Sending CCT2113 - INVOICE.pdf',
  error_message: null,
  custom_title: 'Sending invoices',
  completion_message: null,
  duration: 61.2,
  estimated_remaining_time: 84,
  stale: false,
  cancel_requested: false,
  version: 7,
  poll_after_ms: 500,
};

const completed = {
  ...running,
  status: 'completed',
  processed_items: 5000,
  remaining_items: 0,
  progress_percentage: 100,
};
Object.assign(completed, {
  duration: 12.3,
  estimated_remaining_time: null,
  current_message: '5,000 invoices sent',
});

/** The job in the second of three stages. */
const inStages = {
  ...running,
  custom_title: 'Importing customers',
  current_message: 'Line 36,000 of customers.csv',
  total_items: 60_000,
  processed_items: 36_000,
  remaining_items: 24_000,
  progress_percentage: 22,
  estimated_remaining_time: null,
  stages: [
    { name: 'Read', weight: 1, state: 'completed' },
    { name: 'Check', weight: 2, state: 'running' },
    { name: 'Import', weight: 7, state: 'pending' },
  ],
  stage: 2,
  stage_percentage: 60,
};

const entries = [
  { seq: 1, at: '2026-03-02T09:14:03.120Z', level: 'info', item: 'CCT2111', message: 'email sent' },
  {
    seq: 2,
    at: '2026-03-02T09:14:03.480Z',
    level: 'error',
    item: 'CCT2112',
    message: '550 no such mailbox',
  },
  { seq: 3, at: '2026-03-02T09:14:03.910Z', level: 'info', item: 'CCT2113', message: 'email sent' },
];

const json = (body) => async () =>
  new Response(JSON.stringify(body), { headers: { 'Content-Type': 'application/json' } });
const status =
  (code, headers = {}) =>
  async () =>
    new Response('', { status: code, headers });

/** Answers the first request with `first`, and the others with `later`. */
function thenAlways(first, later) {
  let asked = false;
  return (...request) => {
    const answer = asked ? later : first;
    asked = true;
    return answer(...request);
  };
}

const withLog = (record) => (url) =>
  (String(url).includes('/log')
    ? json({ entries, next_after: 3, dropped: 12 })
    : json(record))(url);

/** @type {Record<string, object>} options of the widget, by the name of the state they show */
export const states = {
  // First, because the page is offline while it contains only this one.
  offline: {
    offline: true,
    fetch: thenAlways(json(running), () => Promise.reject(new TypeError('Failed to fetch'))),
  },
  connecting: { fetch: () => new Promise(() => {}), requestTimeout: 1e9 },
  waiting: {
    fetch: json({
      ...running,
      status: 'pending',
      processed_items: 0,
      remaining_items: 5000,
      progress_percentage: 0,
      current_message: null,
      duration: null,
      estimated_remaining_time: null,
    }),
  },
  running: { icon: '📨', fetch: json(running) },
  'running-with-everything': {
    icon: '📨',
    allowCancel: true,
    showLog: true,
    fetch: withLog({ ...running, failed_items: 3 }),
  },
  indeterminate: {
    fetch: json({
      ...running,
      total_items: null,
      remaining_items: null,
      progress_percentage: null,
      estimated_remaining_time: null,
      custom_title: 'Importing addresses',
    }),
  },
  completed: { fetch: json(completed) },
  'completed-with-errors': { fetch: json({ ...completed, failed_items: 3 }) },
  'completed-with-message': {
    fetch: json({ ...completed, completion_message: 'All invoices are on their way.' }),
  },
  'completed-with-result': {
    persist: true,
    fetch: json({ ...completed, failed_items: 3, result: { href: '/reports/7' } }),
  },
  failed: {
    fetch: json({
      ...running,
      status: 'failed',
      failed_items: 14,
      error_message: 'The mail server refused the connection.',
      estimated_remaining_time: null,
    }),
  },
  cancelled: { fetch: json({ ...running, status: 'cancelled', estimated_remaining_time: null }) },
  cancelling: { allowCancel: true, fetch: json({ ...running, cancel_requested: true }) },
  stale: {
    fetch: thenAlways(
      json(running),
      json({ ...running, stale: true, version: 8, poll_after_ms: null }),
    ),
    pollInterval: 50,
  },
  stalled: { fetch: json({ ...running, stalled: true }) },
  retrying: {
    fetch: json({
      ...running,
      status: 'pending',
      retrying: true,
      attempt: 1,
      max_attempts: 5,
      error_message: 'The disk is full.',
      retry_at: '2096-03-02T14:03:12Z',
      estimated_remaining_time: null,
    }),
  },
  'second-attempt': { fetch: json({ ...running, attempt: 2, max_attempts: 5 }) },
  exhausted: {
    fetch: json({
      ...running,
      status: 'failed',
      attempt: 5,
      max_attempts: 5,
      error_message: 'The disk is full.',
      estimated_remaining_time: null,
    }),
  },
  stages: { fetch: json(inStages) },
  'stages-unknown-total': {
    fetch: json({
      ...inStages,
      total_items: null,
      remaining_items: null,
      progress_percentage: 10,
      stage_percentage: null,
      attempt: 2,
      max_attempts: 5,
    }),
  },
  'stages-failed': {
    fetch: json({
      ...inStages,
      status: 'failed',
      failed_items: 14,
      error_message: 'The file ends in the middle of a line.',
    }),
  },
  'total-grew': {
    pollInterval: 50,
    fetch: thenAlways(
      json(running),
      json({
        ...running,
        total_items: 6000,
        remaining_items: 3887,
        progress_percentage: 35,
        version: 8,
      }),
    ),
  },
  'stale-from-the-beginning': { fetch: json({ ...running, stale: true, stale_after_ms: 40_000 }) },
  reconnecting: {
    fetch: thenAlways(json(running), status(503, { 'Retry-After': '8' })),
    pollInterval: 50,
  },
  'signed-out': { fetch: thenAlways(json(running), status(401)), pollInterval: 50 },
  lost: { fetch: thenAlways(json(running), status(403)), pollInterval: 50 },
  bare: { showDetails: false, showStats: false, title: 'Export', fetch: json(running) },
  compact: { compact: true, icon: '📨', allowCancel: true, fetch: json(running) },
  'compact-stages': { compact: true, fetch: json(inStages) },
  'compact-completed': {
    compact: true,
    persist: true,
    fetch: json({
      ...completed,
      failed_items: 3,
      result: { href: 'https://files.example/7', label: 'Download the report' },
    }),
  },
  'compact-failed': {
    compact: true,
    fetch: json({ ...running, status: 'failed', error_message: 'The mail server is away.' }),
  },
  'compact-reconnecting': {
    compact: true,
    allowCancel: true,
    fetch: thenAlways(json(running), status(503, { 'Retry-After': '8' })),
    pollInterval: 50,
  },
  'long-words': {
    title:
      'A title that goes on and on, because its author did not think of small screens at all, ' +
      'and contains a Donaudampfschifffahrtsgesellschaftskapitän',
    fetch: json({
      ...running,
      total_items: 9007199254740991,
      processed_items: 4503599627370495,
      remaining_items: 4503599627370496,
      failed_items: 1234567,
      current_message: 'C:\\a\\very\\long\\path\\'.repeat(12),
    }),
  },
};
