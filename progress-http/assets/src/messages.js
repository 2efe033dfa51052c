/**
 * A text with `{placeholders}`, or one text for each plural category of the `{count}` in it.
 *
 * @typedef {string | Record<string, string>} Message
 */

const en = {
  title: 'Progress',
  connecting: 'Connecting',
  waiting: 'Waiting',
  running: 'Running',
  completed: 'Completed',
  failed: 'Failed',
  cancelled: 'Cancelled',
  cancelling: 'Cancelling…',
  stale: 'Not responding',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
  lost: 'Unavailable',

  total: 'Total',
  processed: 'Processed',
  remaining: 'Remaining',
  errors: 'Errors',
  countOfTotal: '{processed} of {total}',
  timeLeft: 'about {duration} left',

  completedIn: 'Completed ({duration})',
  errorCount: { one: '{number} error', other: '{number} errors' },
  failedWithoutReason: 'The job has failed.',
  noSignOfLife: 'No sign of life for {duration}',
  noSignOfLifeAtLeast: 'No sign of life for at least {duration}',

  network: 'No connection to the server.',
  timeout: 'The server does not answer.',
  server: 'The server is not available.',
  'not-found': 'This job was not found.',
  refused: 'You may not see this job.',
  gone: 'This job no longer exists.',
  unreadable: 'The server’s answer could not be read.',
  notYetFound: 'Waiting for the job to begin…',
  offlineHint: 'You are offline.',
  retryIn: 'Trying again in {duration}.',
  retryNow: 'Trying again…',
  tryAgain: 'Try again',

  cancel: 'Cancel',
  cancelFailed: 'The job could not be cancelled. Please try again.',
  log: 'Log',
  logError: 'Error',
  logDropped: { one: '{number} older entry is not kept', other: '{number} older entries are not kept' },

  seconds: '{number} s',
  minutes: '{number} min',
  hours: '{number} h',
};

/** @typedef {keyof typeof en} MessageKey */

/** @type {Record<MessageKey, Message>} */
const fr = {
  title: 'Progression',
  connecting: 'Connexion',
  waiting: 'En attente',
  running: 'En cours',
  completed: 'Terminé',
  failed: 'Échec',
  cancelled: 'Annulé',
  cancelling: 'Annulation…',
  stale: 'Ne répond plus',
  reconnecting: 'Reconnexion',
  offline: 'Hors ligne',
  lost: 'Indisponible',

  total: 'Total',
  processed: 'Traités',
  remaining: 'Restants',
  errors: 'Erreurs',
  countOfTotal: '{processed} sur {total}',
  timeLeft: 'encore {duration} environ',

  completedIn: 'Terminé ({duration})',
  errorCount: { one: '{number} erreur', other: '{number} erreurs' },
  failedWithoutReason: 'La tâche a échoué.',
  noSignOfLife: 'Aucun signe de vie depuis {duration}',
  noSignOfLifeAtLeast: 'Aucun signe de vie depuis au moins {duration}',

  network: 'Pas de connexion au serveur.',
  timeout: 'Le serveur ne répond pas.',
  server: 'Le serveur n’est pas disponible.',
  'not-found': 'Cette tâche est introuvable.',
  refused: 'Vous n’avez pas accès à cette tâche.',
  gone: 'Cette tâche n’existe plus.',
  unreadable: 'La réponse du serveur est illisible.',
  notYetFound: 'En attente du début de la tâche…',
  offlineHint: 'Vous êtes hors ligne.',
  retryIn: 'Nouvel essai dans {duration}.',
  retryNow: 'Nouvel essai…',
  tryAgain: 'Réessayer',

  cancel: 'Annuler',
  cancelFailed: 'La tâche n’a pas pu être annulée. Veuillez réessayer.',
  log: 'Journal',
  logError: 'Erreur',
  logDropped: {
    one: '{number} entrée plus ancienne n’est pas conservée',
    other: '{number} entrées plus anciennes ne sont pas conservées',
  },

  seconds: '{number} s',
  minutes: '{number} min',
  hours: '{number} h',
};

/** @type {Record<string, Partial<Record<MessageKey, Message>>>} */
export const languages = { en, fr };
