/** The record of a job as the server sent it, not validated. */
export interface ProgressData {
  job_id?: string;
  task_type?: string;
  status?:
    | 'pending'
    | 'running'
    | 'in_progress'
    | 'completed'
    | 'failed'
    | 'cancelled'
    | (string & {});
  total_items?: number | null;
  processed_items?: number;
  failed_items?: number;
  success_count?: number;
  remaining_items?: number | null;
  progress_percentage?: number | null;
  current_message?: string | null;
  error_message?: string | null;
  custom_title?: string | null;
  completion_message?: string | null;
  duration?: number | null;
  estimated_remaining_time?: number | null;
  stale?: boolean;
  /** Running, but unchanged for longer than the job allows. The widget shows "Stalled". */
  stalled?: boolean;
  cancel_requested?: boolean;
  /** The attempt, 0 before the first; only for a job that may run more than once. */
  attempt?: number;
  /** How often such a job may be started. */
  max_attempts?: number;
  /** Whether it waits for its next attempt. `error_message` says why the last one ended. */
  retrying?: boolean;
  /** When the next attempt is expected, as RFC 3339. The widget shows it as a time of day. */
  retry_at?: string;
  /**
   * Only for a job with stages. `processed_items`, `total_items`, `success_count` and
   * `remaining_items` are then those of the current stage, `failed_items` is that of all stages,
   * and `progress_percentage` is the weighted percentage of the whole job.
   */
  stages?: Stage[];
  /** The number of the current stage, from 1. */
  stage?: number;
  /** Of the current stage alone. `null` if its total is unknown, 0 or exceeded. */
  stage_percentage?: number | null;
  version?: number;
  poll_after_ms?: number | null;
  /** What the job has produced. A `ResultLink` becomes a link in the widget. */
  result?: ResultLink | any;
  /** Data of the application, set when the job was created. */
  metadata?: any;
  /** Milliseconds without a heartbeat until `stale` becomes true; 15,000 if absent. */
  stale_after_ms?: number | null;
  [field: string]: any;
}

/** A part of a job. The bar has a tick at each border of two stages. */
export interface Stage {
  name: string;
  /** How much of the bar the stage takes, compared with the others. */
  weight: number;
  /** That of the current stage is the status of the job. */
  state: 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
}

/** A result that the widget shows when the job has completed. */
export interface ResultLink {
  /** Relative to the page. Of its origin, or HTTPS; other addresses are not shown. */
  href: string;
  /** Default "View result". */
  label?: string;
}

/** Why a poll failed. */
export interface PollError extends Error {
  kind: 'network' | 'timeout' | 'server' | 'not-found' | 'refused' | 'gone' | 'unreadable'
    | 'signed-out';
  /** The HTTP status, or 0 without a response. */
  status: number;
}

export interface Meta {
  /** Whether this is the first response since the page was loaded. */
  initial: boolean;
  /** The number of responses so far. */
  polls: number;
}

export type ProgressCallback = (data: ProgressData, meta: Meta) => void;

export interface ProgressCallbacks {
  /** Called once, on the first response with a running job. */
  onStart?: ProgressCallback;
  /** Called on every response that differs from the previous one. */
  onProgress?: ProgressCallback;
  /** Called once, when the job has completed. */
  onComplete?: ProgressCallback;
  /** Called once, when the job has failed; or with a `PollError` when the poller gives up. */
  onError?: (reason: ProgressData | PollError, meta: Meta) => void;
  /** Called after each failed request that is retried, in `meta.delay` milliseconds. */
  onRetry?: (error: PollError, meta: Meta & { delay: number }) => void;
  /** Called once, when the job was cancelled. */
  onCancelled?: ProgressCallback;
  /**
   * Called when the session has ended: after 401, a redirect to another path, or a page instead of
   * a record. Polling continues, and shows the job again when the user has signed in.
   */
  onSignedOut?: (error: PollError, meta: Meta) => void;
  /** Called after `onComplete`, `onError` or `onCancelled`. */
  onSettled?: (result: ProgressData | PollError, meta: Meta) => void;
}

/** The events of a poller. The DOM events have the same names after `progress-polling:`. */
export interface ProgressEvents {
  start: CustomEvent<{ data: ProgressData; meta: Meta }>;
  progress: CustomEvent<{ data: ProgressData; meta: Meta }>;
  complete: CustomEvent<{ data: ProgressData; meta: Meta }>;
  error: CustomEvent<{ data: ProgressData | PollError; meta: Meta }>;
  cancelled: CustomEvent<{ data: ProgressData; meta: Meta }>;
  settled: CustomEvent<{ data: ProgressData | PollError; meta: Meta }>;
  retry: CustomEvent<{ data: PollError; meta: Meta & { delay: number } }>;
  signedout: CustomEvent<{ data: PollError; meta: Meta }>;
}

export interface Clock {
  now(): number;
  setTimeout(callback: () => void, delay: number): any;
  clearTimeout(timer: any): void;
}

export interface PollerOptions {
  /**
   * The records are at `endpoint/jobId`. Default: the path that served the script, else
   * `/progress`. The pollers of one endpoint share a request (`endpoint/?ids=…`) if they have the
   * same `headers` and `fetch`, and no `url`.
   */
  endpoint?: string;
  /** The full URL of the record, instead of `endpoint`. */
  url?: string;
  /**
   * Milliseconds between polls, at least 50. The server may ask for more. While nothing moves, a
   * request waits up to 25 seconds for the next change. Default 500.
   */
  pollInterval?: number;
  /** The interval while the page is hidden. Default 5000. */
  hiddenPollInterval?: number;
  /** Milliseconds after which a request counts as failed, besides its wait. Default 10000. */
  requestTimeout?: number;
  /**
   * Retries after network errors, time-outs and responses such as 503, until the poller gives up.
   * Default: no limit.
   */
  maxRetries?: number;
  /** Retries after 404, because a new record may not be visible yet. Default 5. */
  notFoundRetries?: number;
  /** The first pause after a failure, in milliseconds; it doubles each time. Default 1000. */
  backoffBase?: number;
  /** The longest such pause. Default 30000. */
  backoffMax?: number;
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** Default `same-origin`. */
  credentials?: RequestCredentials;
  fetch?: typeof fetch;
  clock?: Clock;
  /** Returns the jitter of a pause, 0 to 1. */
  random?: () => number;
}

export interface WidgetOptions extends PollerOptions, ProgressCallbacks {
  /** Default: the job's own title, else "Progress". */
  title?: string;
  /** One emoji, or the classes of a Semantic icon. */
  icon?: string;
  /** Shows the numbers: total, processed, remaining, errors. Default true. */
  showDetails?: boolean;
  /** Shows the job's message and the time left. Default true. */
  showStats?: boolean;
  /** Shows the log of the job. Default false. */
  showLog?: boolean;
  /** Shows a button that cancels the job. Default false. */
  allowCancel?: boolean;
  autoHideOnComplete?: boolean;
  /** Milliseconds. Default 3000. */
  autoHideDelay?: number;
  /** Writes each response to the console. */
  debug?: boolean;
  /** How a hidden page polls. Default `slow`: every `hiddenPollInterval`. */
  whenHidden?: 'slow' | 'pause' | 'continue';
  /** Default: the nearest `lang` attribute. `en` and `fr` are built in. */
  lang?: string;
  /** Texts by key, or by language and key. */
  messages?: Record<string, string | Record<string, string | Record<string, string>>>;
  /** The framework whose class names the parts carry. Default `semantic`. */
  skin?: 'semantic' | 'bootstrap' | 'plain';
  /** Announces every so many per cent to screen readers; 0 turns this off. Default 25. */
  announceStep?: number;
  /** One line: title, state with the number of errors, bar and percentage, buttons. */
  compact?: boolean;
  /**
   * Stores the job in this tab; `ProgressPolling.resume` shows it after a reload, until the user
   * dismisses it.
   */
  persist?: boolean;
  /** Reloads the page when the job completes, unless it was complete when the page was loaded. */
  reloadOnComplete?: boolean;
  /** Goes to this URL when the job completes, unless it was complete when the page was loaded. */
  redirectOnComplete?: string | false;
}

/** Follows a job without showing it; works without a page. */
export class ProgressPoller extends EventTarget {
  constructor(jobId: string, options?: PollerOptions);
  readonly snapshot: ProgressData | null;
  /** Resolves with the final record; rejects when the poller gives up or is destroyed. */
  readonly finished: Promise<ProgressData>;
  start(): void;
  stop(): void;
  refresh(): void;
  destroy(): void;
  addEventListener<Type extends keyof ProgressEvents>(
    type: Type,
    listener: (event: ProgressEvents[Type]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/**
 * A progress bar in an element of the page, whose other content it replaces. The element's property
 * `progressPolling` is the widget.
 */
export class ProgressPolling extends ProgressPoller {
  constructor(target: string | Element, jobId: string, options?: WidgetOptions);
  /** Removes the bar, and forgets the job that `persist` has stored. */
  dismiss(): void;
  static resume(target: string | Element, options?: WidgetOptions): ProgressPolling | null;
}

/**
 * `<progress-poller job-id="…">`. Its attributes are the options, with hyphens. The attribute for
 * the title is `heading`.
 */
export class ProgressPollerElement extends HTMLElement {
  /** The widget in the element, or `null` without a job. */
  readonly progressPolling: ProgressPolling | null;
}

type DomEvents = {
  [Type in keyof ProgressEvents as `progress-polling:${Type}`]: ProgressEvents[Type];
};

declare global {
  interface GlobalEventHandlersEventMap extends DomEvents {}
  interface HTMLElementTagNameMap {
    'progress-poller': ProgressPollerElement;
  }
}
