/** The record of a job as the server sent it. Nothing in it has been checked. */
export interface ProgressData {
  job_id?: string;
  task_type?: string;
  status?: 'pending' | 'running' | 'in_progress' | 'completed' | 'failed' | 'cancelled' | (string & {});
  total_items?: number | null;
  processed_items?: number;
  failed_items?: number;
  remaining_items?: number | null;
  progress_percentage?: number | null;
  current_message?: string | null;
  error_message?: string | null;
  custom_title?: string | null;
  completion_message?: string | null;
  duration?: number | null;
  estimated_remaining_time?: number | null;
  stale?: boolean;
  /** Running, and nothing has changed for longer than the job allows. The widget does not show it. */
  stalled?: boolean;
  cancel_requested?: boolean;
  version?: number;
  poll_after_ms?: number | null;
  /** How long the worker has been silent when `stale` becomes true; 15,000 where the server does not say. */
  stale_after_ms?: number | null;
  [field: string]: any;
}

/** Why a poll failed. */
export interface PollError extends Error {
  kind: 'network' | 'timeout' | 'server' | 'not-found' | 'refused' | 'gone' | 'unreadable';
  /** The HTTP status, or 0 when there was no answer. */
  status: number;
}

export interface Meta {
  /** This is the first answer since the page was loaded. */
  initial: boolean;
  /** How many answers there were. */
  polls: number;
}

export type ProgressCallback = (data: ProgressData, meta: Meta) => void;

export interface ProgressCallbacks {
  /** Once, on the first running answer. */
  onStart?: ProgressCallback;
  /** On every answer that differs from the one before. */
  onProgress?: ProgressCallback;
  /** Once, when the job has completed. */
  onComplete?: ProgressCallback;
  /** Once, when the job has failed; or with a `PollError` when the poller gives up. */
  onError?: (reason: ProgressData | PollError, meta: Meta) => void;
  /** After each failed request that will be repeated, in `meta.delay` milliseconds. */
  onRetry?: (error: PollError, meta: Meta & { delay: number }) => void;
  /** Once, when the job was cancelled. */
  onCancelled?: ProgressCallback;
  /** After `onComplete`, `onError` or `onCancelled`. */
  onSettled?: (result: ProgressData | PollError, meta: Meta) => void;
}

/** What an event of a poller tells, and the DOM event of the same name after `progress-polling:`. */
export interface ProgressEvents {
  start: CustomEvent<{ data: ProgressData; meta: Meta }>;
  progress: CustomEvent<{ data: ProgressData; meta: Meta }>;
  complete: CustomEvent<{ data: ProgressData; meta: Meta }>;
  error: CustomEvent<{ data: ProgressData | PollError; meta: Meta }>;
  cancelled: CustomEvent<{ data: ProgressData; meta: Meta }>;
  settled: CustomEvent<{ data: ProgressData | PollError; meta: Meta }>;
  retry: CustomEvent<{ data: PollError; meta: Meta & { delay: number } }>;
}

export interface Clock {
  now(): number;
  setTimeout(callback: () => void, delay: number): any;
  clearTimeout(timer: any): void;
}

export interface PollerOptions {
  /**
   * The records are at `endpoint/jobId`. Default: where the script was served from, else `/progress`. Those who ask one
   * endpoint share a request (`endpoint/?ids=…`), unless they have a `url`, `headers` or a `fetch` of their own.
   */
  endpoint?: string;
  /** The full address of the record, in place of `endpoint`. */
  url?: string;
  /** Milliseconds from one request to the next, at least 50; the server may ask for more. Default 500. */
  pollInterval?: number;
  /** The same while the page is hidden. Default 5000. */
  hiddenPollInterval?: number;
  /** Milliseconds after which a request counts as failed. Default 10000. */
  requestTimeout?: number;
  /** Retries after network errors, time-outs and answers such as 503. Default 10. */
  maxRetries?: number;
  /** Retries after 404: a new record may not be visible yet. Default 5. */
  notFoundRetries?: number;
  /** The first pause after a failure, in milliseconds; each one doubles it. Default 1000. */
  backoffBase?: number;
  /** The longest such pause. Default 30000. */
  backoffMax?: number;
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** Default `same-origin`. */
  credentials?: RequestCredentials;
  fetch?: typeof fetch;
  clock?: Clock;
  /** The jitter of the pauses, 0 to 1. */
  random?: () => number;
}

export interface WidgetOptions extends PollerOptions, ProgressCallbacks {
  /** Default: the job's own title, else "Progress". */
  title?: string;
  /** One emoji, or the classes of a Semantic icon. */
  icon?: string;
  /** Total, processed, remaining, errors. Default true. */
  showDetails?: boolean;
  /** The job's message and the time left. Default true. */
  showStats?: boolean;
  /** The log of the job. Default false. */
  showLog?: boolean;
  /** A button that cancels the job. Default false. */
  allowCancel?: boolean;
  autoHideOnComplete?: boolean;
  /** Milliseconds. Default 3000. */
  autoHideDelay?: number;
  /** Writes each answer to the console. */
  debug?: boolean;
  /** What a hidden page does. Default `slow`: it asks every `hiddenPollInterval`. */
  whenHidden?: 'slow' | 'pause' | 'continue';
  /** Default: the nearest `lang` attribute. `en` and `fr` are built in. */
  lang?: string;
  /** Texts by key, or by language and key. */
  messages?: Record<string, string | Record<string, string | Record<string, string>>>;
  /** The framework whose class names the parts carry. Default `semantic`. */
  skin?: 'semantic' | 'bootstrap' | 'plain';
  /** A screen reader hears of every so many per cent; 0 for none. Default 25. */
  announceStep?: number;
  /** Remembers the job in this tab, for `ProgressPolling.resume`. */
  persist?: boolean;
  /** Loads the page again when the job completes under its eyes. */
  reloadOnComplete?: boolean;
  /** Goes to this address when the job completes under the page's eyes. */
  redirectOnComplete?: string | false;
}

/** Follows a job without showing it; needs no page. */
export class ProgressPoller extends EventTarget {
  constructor(jobId: string, options?: PollerOptions);
  readonly snapshot: ProgressData | null;
  /** Resolves with the data of the ending; rejects when the poller gives up or is destroyed. */
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
 * A progress bar in a place of the page: a poller with a face. The place has it as `progressPolling`, and belongs to it:
 * whatever else is in there goes.
 */
export class ProgressPolling extends ProgressPoller {
  constructor(target: string | Element, jobId: string, options?: WidgetOptions);
  static resume(target: string | Element, options?: WidgetOptions): ProgressPolling | null;
}

/** `<progress-poller job-id="…">`. Its attributes are the options, with hyphens; the title is its `heading`. */
export class ProgressPollerElement extends HTMLElement {
  /** The widget in it, or `null` while there is no job. */
  readonly progressPolling: ProgressPolling | null;
}

type DomEvents = { [Type in keyof ProgressEvents as `progress-polling:${Type}`]: ProgressEvents[Type] };

declare global {
  interface GlobalEventHandlersEventMap extends DomEvents {}
  interface HTMLElementTagNameMap {
    'progress-poller': ProgressPollerElement;
  }
}
