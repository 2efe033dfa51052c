export { ProgressPoller } from './poller.js';
