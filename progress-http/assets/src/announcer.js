/** @import { View, State } from './view.js' */
/** @import { Translator } from './translator.js' */

/** The states that concern all bars of a page. */
const OUTAGES = ['reconnecting', 'offline', 'signed-out'];

/** @type {Set<HTMLElement>} the live regions of the bars that the present outage concerns */
const affected = new Set();

/**
 * Creates the announcer of a widget. A screen reader announces the start, each step of some per
 * cent, problems and the end, each once. Of several bars, one announces an outage and its end. The
 * numbers change too often to be read aloud; the alert announces failures by itself.
 *
 * @param {HTMLElement} node a live region
 * @param {Translator} translator
 * @param {number} step the per cent from one announcement to the next; 0 for none
 */
export function createAnnouncer(node, { say }, step) {
  let spokenStep = 0;
  /** @type {State} */
  let spokenState = 'connecting';
  /** @type {View['stage'] | undefined} */
  let spokenStage;

  /** @param {View} view */
  const announce = ({ state, line, percent, stage, texts }) => {
    if (OUTAGES.includes(state)) {
      const isFirst = !affected.size;
      affected.add(node);
      if (!isFirst && !OUTAGES.includes(spokenState)) return;
    } else leave();
    const reached = step > 0 ? Math.floor(Number(percent) / step) : 0;
    const isNew = state !== spokenState && state !== 'connecting' && (line || !texts.alert);
    const newStage = stage !== spokenStage && stage;
    if (isNew || (state === 'running' && (reached > spokenStep || newStage))) {
      spokenState = state;
      spokenStage = stage;
      const text = line || [texts.badge, newStage, texts.percent].filter(Boolean).join(', ');
      node.textContent = say('announcement', { title: texts.title, text });
    }
    spokenStep = Math.max(reached, spokenStep);
  };

  /** Once the outage concerns no bar any more, the next one is announced. */
  const leave = () => affected.delete(node);

  return { announce, leave };
}
