/** @import { Job } from './feed.js' */
import { button, element, put } from './dom.js';
import { hasEnded } from './feed.js';
import { viewOfRecord } from './widget.js';

/** The columns of the table. */
export const COLUMNS = [
  'job',
  'owner',
  'state',
  'started',
  'done',
  'processed',
  'errors',
  'duration',
  'actions',
];

/**
 * A job as a row of the table. A second row below it is for what belongs to the job: a question, an
 * error, the widget.
 *
 * @typedef {ReturnType<typeof createRow>} Row
 */

/**
 * @param {string} id the job's, which is unique in the shadow root of the list
 * @param {ReturnType<typeof import('./widget.js').translator>} i18n
 * @param {(seconds: number) => string} ago
 * @param {Record<string, unknown>} allowed the actions that the page allows
 * @param {Record<string, () => void>} actions what the buttons do: `open`, and the others in their
 *   order
 */
export function createRow(id, i18n, ago, allowed, { open: toggle, ...actions }) {
  const { language, say, duration } = i18n;
  const title = element('span', 'title', { id });
  const open = button('', toggle, 'open');
  open.append(title);
  /** @type {Record<string, HTMLElement>} */
  const texts = { title };
  for (const name of ['detail', 'owner', 'badge', 'percent', 'processed', 'errors', 'duration'])
    texts[name] = element('span', name);
  const fill = element('div', 'fill');
  const track = element('div', 'track', {}, fill);
  const values = { 'aria-labelledby': id, 'aria-valuemin': '0', 'aria-valuemax': '100' };
  const bar = element('div', 'bar', { role: 'progressbar', ...values }, track, texts.percent);
  const time = element('time', '');
  /** @type {Record<string, HTMLElement>} */
  const buttons = {};
  for (const name in actions) buttons[name] = button(say(name), actions[name]);
  buttons.hide.title = say('hide');
  // The style sheet shows a cross.
  put(buttons.hide, '');
  /** @type {Record<string, Node[]>} */
  const cells = {
    job: [open, texts.detail],
    state: [texts.badge],
    started: [time],
    done: [bar],
    actions: Object.values(buttons),
  };
  const cellOf = (/** @type {string} */ name) => {
    const isHead = name === 'job';
    return element(
      isHead ? 'th' : 'td',
      name,
      isHead ? { role: 'rowheader' } : {},
      // For a card, which has no head. A screen reader knows the column.
      element('small', '', { 'aria-hidden': 'true' }, `${say(name)} `),
      ...(cells[name] ?? [texts[name]]),
    );
  };
  const node = element('tr', 'job-row', {}, ...COLUMNS.map(cellOf));
  const content = element('td', '');
  const panel = element('tr', 'panel', { id: `${id}-panel` }, content);
  panel.hidden = true;
  open.setAttribute('aria-controls', panel.id);
  open.setAttribute('aria-expanded', 'false');
  /** @type {Job} */
  let job;
  /** @type {Date} */
  let since;
  let isSent = false;

  /**
   * Shows how the time passes.
   *
   * @param {number} now on the server's clock
   */
  const tick = (now) => {
    const seconds = Math.max(now - Number(since), 0) / 1000;
    const passed = ago(seconds);
    const taken = job.status === 'running' ? Math.floor(seconds) : job.duration;
    put(time, job.started_at ? passed : say('queued', { time: passed }));
    put(texts.duration, Number.isFinite(taken) ? duration(taken) : '–');
  };

  /**
   * @param {Job} given
   * @param {number} now
   * @param {boolean} [sent] whether the cancel request was sent; otherwise as before
   */
  const render = (given, now, sent = isSent) => {
    job = given;
    isSent = sent;
    const view = viewOfRecord(job, i18n, isSent ? 'sent' : undefined);
    const { state, tone, percent, texts: shown } = view;
    const { task_type: kind, total_items: total, processed_items: number } = job;
    const isPart = Number.isFinite(total) && total !== number;
    /** @type {Record<string, any>} */
    const all = {
      ...shown,
      detail: [kind, shown['time-left'], shown.alert || shown.message]
        .filter(Boolean)
        .join(' – '),
      owner: job.owner ?? '–',
      processed: isPart ? say('countOfTotal', { number, total }) : shown.processed,
      errors: shown.errors || (0).toLocaleString(language),
    };
    for (const name in texts) if (name !== 'duration') put(texts[name], all[name]);
    Object.assign(node.dataset, { state, tone, failed: !!shown.errors });
    node.classList.toggle('indeterminate', !percent && state === 'running');
    // As attributes, because Firefox 113 does not reflect the ARIA properties.
    if (percent) bar.setAttribute('aria-valuenow', percent);
    else bar.removeAttribute('aria-valuenow');
    bar.setAttribute('aria-valuetext', view.value);
    fill.style.setProperty('--done', `${percent || 0}%`);
    since = new Date(job.started_at ?? job.created_at);
    // Formatting a date takes long.
    if (Number(since) && time.dateTime !== since.toJSON()) {
      time.dateTime = since.toJSON();
      time.title = since.toLocaleString(language);
    }
    for (const name in buttons) {
      const one = buttons[name];
      const isFitting = name === 'cancel' ? view.cancellable : hasEnded(job);
      const isShown = allowed[name] && isFitting;
      if (!isShown && one.matches(':focus')) open.focus();
      one.hidden = !isShown;
      // What it does is only clear together with the job.
      one.setAttribute(
        'aria-label',
        say('announcement', { title: say(name), text: shown.title }),
      );
    }
    tick(now);
  };

  return {
    _node: node,
    _panel: panel,
    _content: content,
    _open: open,
    _render: render,
    _tick: tick,
    _job: () => job,
  };
}
