export type { Clock, Meta, PollerOptions, PollError, ProgressData } from './progress-polling.js';
export { ProgressPoller } from './progress-polling.js';
