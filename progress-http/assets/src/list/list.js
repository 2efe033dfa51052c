/** @import { ProgressListOptions } from '../progress-list.js' */
/** @import { Job } from './feed.js' */
/** @import { Row } from './row.js' */
import { button, element, put } from './dom.js';
import { createFeed } from './feed.js';
import { COLUMNS, createRow } from './row.js';
import { textsFor } from './texts.js';
import { relativeTime } from './time.js';
import {
  ProgressPolling,
  belongingUrl,
  ensureStyles,
  request,
  statusUrl,
  storedJob,
  translator,
  viewOfConnection,
  viewOfRecord,
} from './widget.js';

/** The filters by state. The texts are those of the states. */
const STATES = ['', 'active', 'pending', 'running', 'completed', 'failed', 'cancelled'];

/** Milliseconds in which news are gathered, so that a screen reader is not interrupted. */
const GATHER = 1000;

/** The most news that are read one by one. */
const MOST_NEWS = 3;

/** The HTTP statuses for a job that is gone, and for one that has ended already. */
const NOT_FOUND = 404;
const CONFLICT = 409;

/**
 * Shows a list in an element, and follows it until it is stopped.
 *
 * @param {HTMLElement} host
 * @param {ShadowRoot} root
 * @param {ProgressListOptions & { endpoint: string, lang: string, sheet: string }} options
 */
export function createList(host, root, options) {
  const { endpoint, pageSize, lang } = options;
  const i18n = translator(lang, { ...textsFor(lang), ...options.messages });
  const { language, say } = i18n;
  const ago = relativeTime(language);
  const limit = Math.min(Math.max(Math.floor(/** @type {any} */ (pageSize)), 1) || 25, 100);
  const allowed = {
    cancel: options.allowCancel,
    again: options.allowRunAgain,
    delete: options.allowDelete,
    hide: true,
  };
  const isPage = host.hasAttribute('page');
  const store = `list ${host.id}`;
  /** The jobs that the user has dismissed, kept for this tab like a widget's job. */
  const dismissed = new Set(storedJob(store)?.split(','));
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /** @type {Map<string, ProgressPolling>} the widgets of the open rows */
  const widgets = new Map();
  /** @type {Set<string>} the kinds of jobs so far */
  const kinds = new Set(['']);
  /** @type {ReturnType<typeof createFeed>} */
  let feed;
  /** @type {string[]} what the live region says next */
  let news = [];
  let trouble = false;
  /** @type {any} */
  let speechTimer;
  let frame = 0;

  /**
   * @param {string} label
   * @param {Iterable<string>} values
   * @param {string | undefined} [value]
   */
  const createFilter = (label, values, value = '') => {
    const select = element('select', 'button', { 'aria-label': say(label) });
    select.onchange = () => restart();
    fillFilter(select, label, values);
    select.value = value;
    return select;
  };

  /**
   * @param {HTMLSelectElement} select
   * @param {string} label
   * @param {Iterable<string>} values
   */
  const fillFilter = (select, label, values) => {
    const { value } = select;
    const all = say('announcement', { title: say(label), text: say('all') });
    const optionOf = (/** @type {string} */ key) =>
      element('option', '', { value: key }, key ? say(key) : all);
    select.replaceChildren(...Array.from(values, optionOf));
    select.value = value;
  };

  const labelled = { 'aria-labelledby': 'heading' };
  const heading = element(
    isPage ? 'h1' : 'h2',
    '',
    { id: 'heading', tabindex: '-1' },
    options.title ?? say('jobs'),
  );
  const stateFilter = createFilter('state', STATES, options.status);
  kinds.add(options.taskType ?? '');
  const kindFilter = createFilter('kind', kinds, options.taskType);
  const problem = element('span', '');
  const retry = button(say('tryAgain'), () => feed._head.start(), 'link');
  const reload = button(say('reload'), () => location.reload(), 'link');
  const banner = element('div', 'banner', {}, problem, retry, reload);
  const body = element('tbody', '');
  const heads = COLUMNS.map((name) => element('th', name, { role: 'columnheader' }, say(name)));
  const head = element('thead', '', {}, element('tr', 'job-row', {}, ...heads));
  const table = element('table', '', labelled, head, body);
  const note = element('p', '');
  const more = button(say('more'), async () => {
    more.disabled = true;
    // The connection tells why it failed.
    await feed._more().catch(() => feed._head.refresh());
    more.disabled = false;
  });
  const restore = button('', () => {
    dismissed.clear();
    storedJob(store, '');
    heading.focus();
    draw();
  });
  const speech = element('div', 'announcer', { role: 'status' });
  const list = element(
    'section',
    '',
    { class: 'progress-polling progress-list', lang: language, ...labelled },
    element('header', '', {}, heading, stateFilter, kindFilter),
    banner,
    table,
    note,
    element('footer', '', {}, more, restore),
    speech,
  );

  /** Shows the list that the filters select. */
  const restart = () => {
    stop();
    const { value } = stateFilter;
    /** @type {Record<string, string>} */
    const filter = {};
    if (value === 'active') filter.active = 'true';
    else if (value) filter.status = value;
    if (kindFilter.value) filter.task_type = kindFilter.value;
    feed = createFeed(options, limit, filter, (changes) => {
      for (const job of changes?._added ?? []) hear(say('new'), titleOf(job));
      // The widget of an open row says it itself.
      for (const job of changes?._ended ?? [])
        if (!widgets.has(job.job_id)) hear(titleOf(job), say(job.status));
      frame ||= requestAnimationFrame(draw);
    });
    feed._head.addEventListener('signedout', (/** @type {any} */ { detail }) =>
      tell('signedout', detail),
    );
    draw();
  };

  /**
   * @param {string} type
   * @param {object} detail
   */
  const tell = (type, detail) =>
    host.dispatchEvent(new CustomEvent(`progress-list:${type}`, { bubbles: true, detail }));

  const draw = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    const jobs = feed._jobs();
    const shown = jobs.filter(({ job_id: id }) => !dismissed.has(id));
    const ids = new Set(shown.map(({ job_id: id }) => id));
    for (const id of rows.keys()) if (!ids.has(id)) forget(id);
    const now = feed._now();
    const known = kinds.size;
    let at = body.firstElementChild;
    for (const job of shown) {
      const { job_id: id } = job;
      const row = rows.get(id) ?? create(id);
      if (row._job() !== job) row._render(job, now);
      // A row that is in its place is not moved, because it would lose the focus.
      if (row._node === at) at = row._panel.nextElementSibling;
      else for (const one of [row._node, row._panel]) body.insertBefore(one, at);
      kinds.add(`${job.task_type ?? ''}`);
    }
    if (kinds.size > known) fillFilter(kindFilter, 'kind', kinds);
    kindFilter.hidden = kinds.size < 3;
    list.dataset.owners = `${shown.some(({ owner }) => owner)}`;
    table.hidden = !shown.length;
    more.hidden = !feed._next();
    restore.hidden = shown.length === jobs.length;
    put(restore, say('dismissed', { number: jobs.length - shown.length }));
    drawConnection();
  };

  const drawConnection = () => {
    const { state, line, texts } = viewOfConnection(feed._head, i18n);
    const isTrouble = !!feed._head.error;
    const isLoaded = feed._next() !== undefined;
    const what = `${texts.badge}. ${line || texts.alert}`;
    put(problem, isLoaded ? `${what} ${say('outdated')}` : what);
    put(note, say(isLoaded ? 'none' : 'loading'));
    banner.hidden = !isTrouble;
    note.hidden = !table.hidden || (isTrouble && !isLoaded);
    retry.hidden = state === 'signed-out';
    reload.hidden = !retry.hidden;
    // Once at its beginning and at its end: the seconds until the next attempt change all the time.
    if (isTrouble !== trouble) put(speech, isTrouble ? what : say('live'));
    trouble = isTrouble;
  };

  /** @param {string} id */
  const create = (id) => {
    const row = createRow(id, i18n, ago, allowed, {
      open: () => toggle(row),
      cancel: () => ask(row, 'cancel'),
      again: () => tell('runagain', { data: row._job() }),
      delete: () => ask(row, 'delete'),
      hide: () => {
        dismissed.add(id);
        storedJob(store, [...dismissed].join());
        draw();
      },
    });
    row._panel.onkeydown = ({ key }) => {
      if (key === 'Escape') leave(row);
    };
    rows.set(id, row);
    return row;
  };

  /** @param {string} id */
  const forget = (id) => {
    const { _node: node, _panel: panel } = /** @type {Row} */ (rows.get(id));
    close(id);
    const hadFocus = [node, panel].some((one) => one.contains(root.activeElement));
    const next = panel.nextElementSibling ?? node;
    node.remove();
    panel.remove();
    rows.delete(id);
    if (hadFocus) (next.isConnected ? next.querySelector('button') : heading)?.focus();
  };

  /** @param {string} id */
  const close = (id) => {
    widgets.get(id)?.destroy();
    widgets.delete(id);
    feed._pinned.delete(id);
    const { _content: content, _panel: panel, _open: open } = /** @type {Row} */ (rows.get(id));
    content.replaceChildren();
    panel.hidden = true;
    open.setAttribute('aria-expanded', 'false');
  };

  /**
   * Shows something below a row.
   *
   * @param {Row} row
   * @param {HTMLElement[]} nodes
   */
  const below = ({ _content: content, _panel: panel }, ...nodes) => {
    content.replaceChildren(...nodes);
    panel.hidden = false;
  };

  /**
   * Opens a row to its widget, or closes it.
   *
   * @param {Row} row
   */
  const toggle = (row) => {
    const { job_id: id } = row._job();
    if (widgets.has(id)) return close(id);
    const place = element('div', '');
    // The page's own content for the job comes below its widget.
    below(row, place, element('slot', '', { name: id }));
    row._open.setAttribute('aria-expanded', 'true');
    const { title: _, pollInterval: __, ...settings } = options;
    const own = { lang: language, showLog: true, allowCancel: false };
    feed._pinned.add(id);
    const poller = new ProgressPolling(place, id, { ...settings, ...own, skin: 'plain' });
    widgets.set(id, poller);
    tell('open', { data: row._job(), poller });
  };

  /**
   * Asks before a job is cancelled or deleted.
   *
   * @param {Row} row
   * @param {'cancel' | 'delete'} action
   */
  const ask = (row, action) => {
    const sure = say(action === 'cancel' ? 'cancelJob' : action);
    const question = say('announcement', { title: sure, text: titleOf(row._job()) });
    const keep = button(say('keep'), () => leave(row));
    const go = button(sure, () => {
      leave(row);
      act(row, action);
    });
    close(row._job().job_id);
    below(
      row,
      element(
        'div',
        'confirm',
        { role: 'group', 'aria-label': question },
        element('span', 'question', {}, question),
        keep,
        go,
      ),
    );
    keep.focus();
  };

  /**
   * Closes what is below a row, and returns to the row.
   *
   * @param {Row} row
   */
  const leave = (row) => {
    close(row._job().job_id);
    row._open.focus();
  };

  /**
   * @param {Row} row
   * @param {'cancel' | 'delete'} action
   */
  const act = async (row, action) => {
    const { job_id: id } = row._job();
    const url = statusUrl({ endpoint }, id);
    const isCancel = action === 'cancel';
    row._render(row._job(), feed._now(), isCancel);
    try {
      const { text } = await request(
        feed._settings,
        isCancel ? belongingUrl(url, action) : url,
        { method: isCancel ? 'POST' : 'DELETE' },
      );
      if (isCancel) feed._put(JSON.parse(text));
      else feed._remove(id);
    } catch (error) {
      const { status } = /** @type {any} */ (error);
      // It has ended or is gone, which the list will show.
      if (status !== NOT_FOUND && !(isCancel && status === CONFLICT))
        below(row, element('span', 'alert', { role: 'alert' }, say(`${action}Failed`)));
    }
    draw();
    row._render(row._job(), feed._now(), false);
    feed._head.refresh();
  };

  /** @param {Job} job */
  const titleOf = (job) => viewOfRecord(job, i18n, undefined).texts.title;

  /**
   * Lets the live region say soon what has happened.
   *
   * @param {string} title
   * @param {string} text
   */
  const hear = (title, text) => {
    news.push(say('announcement', { title, text }));
    speechTimer ??= setTimeout(() => {
      speechTimer = undefined;
      const { length: number } = news;
      put(speech, number > MOST_NEWS ? say('changes', { number }) : news.join('. '));
      news = [];
    }, GATHER);
  };

  /** Shows how the time passes. */
  const tick = () => {
    if (document.hidden) return;
    const now = feed._now();
    for (const row of rows.values()) row._tick(now);
    if (trouble) drawConnection();
  };

  // From row to row.
  body.onkeydown = (event) => {
    const all = /** @type {HTMLElement[]} */ ([...body.querySelectorAll('th button')]);
    const at = all.indexOf(/** @type {any} */ (event.target));
    const next = all[at + Number({ ArrowDown: 1, ArrowUp: -1 }[event.key])];
    if (at < 0 || !next) return;
    event.preventDefault();
    next.focus();
  };

  const stop = () => {
    for (const id of [...rows.keys()]) forget(id);
    feed?._stop();
    cancelAnimationFrame(frame);
    clearTimeout(speechTimer);
    speechTimer = undefined;
    news = [];
  };

  // The column has room for the buttons of an ended job.
  const { again, delete: remove } = allowed;
  list.style.setProperty('--actions', again && remove ? '17rem' : '10rem');
  const link = element('link', '', { rel: 'stylesheet', href: options.sheet });
  // Until the style sheet is there. Without one the list works all the same.
  list.hidden = true;
  link.onload = link.onerror = () => (list.hidden = false);
  root.replaceChildren(link, list);
  ensureStyles(list);
  const ticker = setInterval(tick, 1000);
  if (isPage) {
    document.documentElement.lang = language;
    document.title = /** @type {string} */ (heading.textContent);
  }
  restart();

  return {
    _refresh: () => feed._head.refresh(),
    _stop: () => {
      stop();
      clearInterval(ticker);
      root.replaceChildren();
    },
  };
}
