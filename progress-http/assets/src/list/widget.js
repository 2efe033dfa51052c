// What the list uses of the widget. The build leaves this import to the browser.
export {
  ProgressPoller,
  ProgressPolling,
  belongingUrl,
  defaultEndpoint,
  ensureStyles,
  followPage,
  isRecord,
  optionsFrom,
  pollerOptions,
  request,
  statusUrl,
  storedJob,
  translator,
  viewOfConnection,
  viewOfRecord,
  withCapital,
} from '../shared.js';
