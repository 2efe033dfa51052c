/** @import { Message } from '../messages.js' */
import { withCapital } from './widget.js';

/**
 * The texts of the list in English and French, by key, besides those of the widget. A missing
 * English text is its key with a capital.
 *
 * @type {Record<string, (Message | undefined)[]>}
 */
const TEXTS = {
  jobs: [, 'Tâches'],
  job: [, 'Tâche'],
  owner: [, 'Propriétaire'],
  state: [, 'État'],
  started: [, 'Début'],
  done: ['Progress', 'Progression'],
  duration: [, 'Durée'],
  actions: [],
  kind: [, 'Type'],
  all: [, 'Tous'],
  active: ['Not ended', 'Non terminé'],
  pending: ['Waiting', 'En attente'],
  queued: ['queued {time}', 'en file {time}'],

  loading: ['Loading…', 'Chargement…'],
  none: ['No jobs.', 'Aucune tâche.'],
  outdated: ['The list may be outdated.', 'La liste n’est peut-être plus à jour.'],
  'not-found': ['No list here.', 'Pas de liste ici.'],
  live: ['Connected.', 'Connecté.'],
  more: ['Show more', 'Afficher plus'],
  dismissed: ['Show dismissed: {number}', 'Afficher les masquées\u00a0: {number}'],
  hide: ['Dismiss', 'Masquer'],
  again: ['Run again', 'Relancer'],
  delete: [, 'Supprimer'],
  cancelJob: ['Cancel job', 'Annuler la tâche'],
  deleteFailed: ['The job could not be deleted.', 'La suppression a échoué.'],
  new: ['New job', 'Nouvelle tâche'],
  changes: ['Changes: {number}', 'Changements\u00a0: {number}'],
};

/**
 * Returns the texts for a language, as the translator takes them.
 *
 * @param {string} language
 */
export function textsFor(language) {
  const known = /^fr\b/i.test(language) ? 1 : 0;
  /** @type {Record<string, any>} */
  const texts = {};
  for (const key in TEXTS) texts[key] = TEXTS[key][known] ?? TEXTS[key][0] ?? withCapital(key);
  return texts;
}
