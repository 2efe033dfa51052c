/** @import { View, State } from './view.js' */
import { create, setText } from './dom.js';

/** States that are worth a word when they begin; failures speak for themselves through the alert. */
const SPOKEN = new Set(
  /** @type {State[]} */ (['running', 'completed', 'cancelled', 'reconnecting', 'offline', 'stale']),
);

/**
 * What a screen reader says: the start, each step of some per cent, trouble, and the end, each once. The numbers
 * on the screen change far too often to be read aloud.
 */
export class Announcer {
  #step;
  #spokenStep = 0;
  /** @type {State | null} */
  #spokenState = null;
  node = create('div', { class: 'progress-polling-announcer', role: 'status' });

  /** @param {number} step in per cent; 0 for none */
  constructor(step) {
    this.#step = step;
  }

  /**
   * @param {View} view
   * @param {string} title
   */
  render(view, title) {
    const step = this.#step > 0 ? Math.floor((view.percent ?? 0) / this.#step) : 0;
    const entered = view.state !== this.#spokenState && SPOKEN.has(view.state);
    const advanced = view.state === 'running' && step > this.#spokenStep;
    this.#spokenStep = Math.max(step, this.#spokenStep);
    if (!entered && !advanced) return;
    this.#spokenState = view.state;
    const words = view.essential ? view.line : [view.badge, view.percentText].filter(Boolean).join(', ');
    setText(this.node, `${title}: ${words}`);
  }
}
