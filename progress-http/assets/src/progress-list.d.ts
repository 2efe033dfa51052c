import type {
  PollerOptions,
  PollError,
  ProgressData,
  ProgressPolling,
} from './progress-polling.js';

/**
 * The options of a list. On the element, those that are a text, a number or a boolean are
 * attributes, with hyphens; the attribute for the title is `heading`. The others are in the
 * property `options`. The options of a poller, such as `headers` and `fetch`, apply to all
 * requests.
 */
export interface ProgressListOptions extends Omit<PollerOptions, 'url'> {
  /** The title of the list. Default "Jobs". */
  title?: string;
  /** Rows per page, at most 100. Default 25. */
  pageSize?: number;
  /** The state to show at first: `active` (not ended), or a status. Default: all. */
  status?: 'active' | 'pending' | 'running' | 'completed' | 'failed' | 'cancelled';
  /** The kind of jobs (`task_type`) to show at first. Default: all. */
  taskType?: string;
  /** The kinds to choose from, separated by commas, besides those in the rows. */
  kinds?: string;
  /** Shows a button that cancels the job, after a question. */
  allowCancel?: boolean;
  /** Shows a button that deletes the record of a job that has ended, after a question. */
  allowDelete?: boolean;
  /** Shows "Run again" at jobs that have ended, which dispatches `progress-list:runagain`. */
  allowRunAgain?: boolean;
  /** Default: the nearest `lang` attribute. `en` and `fr` are built in. */
  lang?: string;
  /** Texts by key, or by language and key. */
  messages?: Record<string, string | Record<string, string | Record<string, string>>>;
}

/**
 * `<progress-list>`: the jobs of the viewer, newest first. An administrator sees all. Its children
 * are shown in the rows that are open: see `progress-list:open`.
 */
export class ProgressListElement extends HTMLElement {
  /** The options that are no texts. Setting them draws the list anew. */
  options: ProgressListOptions;
  /** Reads the list now instead of at the next interval. */
  refresh(): void;
}

export interface ProgressListEvents {
  /**
   * The user has opened a row. `poller` is its widget, which is destroyed when the row is closed. A
   * child of the list with `slot="<job id>"` is shown below the widget.
   */
  'progress-list:open': CustomEvent<{ data: ProgressData; poller: ProgressPolling }>;
  /** The user wants a job to run again. The application starts it. */
  'progress-list:runagain': CustomEvent<{ data: ProgressData }>;
  /** The session has ended. The list keeps polling, and goes on when the user has signed in. */
  'progress-list:signedout': CustomEvent<{ data: PollError }>;
}

declare global {
  interface GlobalEventHandlersEventMap extends ProgressListEvents {}
  interface HTMLElementTagNameMap {
    'progress-list': ProgressListElement;
  }
}
