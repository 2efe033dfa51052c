/**
 * A text with `{placeholders}`, or one text per plural category of its `number`.
 *
 * @typedef {string | Record<string, string>} Message
 */

/** The built-in languages, in the order of the texts below. */
export const LANGUAGES = ['en', 'fr'];

/**
 * The built-in texts by key. A missing translation falls back to English, and a missing English
 * text to the key with a capital.
 *
 * @satisfies {Record<string, (Message | undefined)[]>}
 */
export const MESSAGES = {
  title: ['Progress', 'Progression'],
  connecting: [, 'Connexion'],
  waiting: [, 'En attente'],
  retrying: ['Retrying: {number} of {total}', 'Nouvel essai\u00a0: {number} sur {total}'],
  running: [, 'En cours'],
  attempt: ['Attempt {number} of {total}', 'Essai {number} sur {total}'],
  completed: [, 'Terminé'],
  failed: [, 'Échec'],
  cancelled: [, 'Annulé'],
  cancelling: ['Cancelling…', 'Annulation…'],
  stale: ['Not responding', 'Ne répond plus'],
  stalled: [, 'Bloqué'],
  reconnecting: [, 'Reconnexion'],
  offline: [, 'Hors ligne'],
  lost: ['Unavailable', 'Indisponible'],
  'signed-out': ['Signed out', 'Déconnecté'],

  total: [],
  processed: [, 'Traités'],
  remaining: [, 'Restants'],
  errors: [, 'Erreurs'],
  stage: ['Step {number} of {total}: {name}', 'Étape {number} sur {total}\u00a0: {name}'],
  grown: ['total grew to {number}', 'total porté à {number}'],
  countOfTotal: ['{number} of {total}', '{number} sur {total}'],
  'time-left': ['about {duration} left', 'encore {duration} environ'],

  errorCount: [
    { one: '{number} error', other: '{number} errors' },
    { one: '{number} erreur', other: '{number} erreurs' },
  ],
  silent: ['No heartbeat for {duration}', 'Aucun signal depuis {duration}'],

  network: ['No connection.', 'Pas de connexion.'],
  timeout: ['Timed out.', 'Délai dépassé.'],
  server: ['Server unavailable.', 'Serveur indisponible.'],
  'not-found': ['Job not found.', 'Tâche introuvable.'],
  refused: ['Access denied.', 'Accès refusé.'],
  gone: ['Job deleted.', 'Tâche supprimée.'],
  unreadable: ['Unreadable response.', 'Réponse illisible.'],
  signInAgain: ['Sign in again.', 'Reconnectez-vous.'],
  reload: ['Reload page', 'Recharger la page'],
  retryIn: ['Retrying in {duration}.', 'Nouvel essai dans {duration}.'],
  retryAt: ['Retrying at {time}.', 'Nouvel essai à {time}.'],
  attempts: ['after {number} attempts', 'après {number} essais'],
  tryAgain: ['Retry', 'Réessayer'],

  cancel: [, 'Annuler'],
  confirmCancel: [
    'Cancel the job? Processed: {number}.',
    'Annuler la tâche\u00a0? Traités\u00a0: {number}.',
  ],
  keep: [, 'Garder'],
  cancelFailed: ['The job could not be cancelled.', 'L’annulation a échoué.'],
  result: ['View result', 'Voir le résultat'],
  dismiss: [, 'Fermer'],
  // The error messages that the library itself writes into a record.
  'the job failed': [, 'La tâche a échoué.'],
  'worker lost': [, 'Le processus a disparu.'],
  'the worker stopped before finishing': [, 'Le processus s’est arrêté.'],
  'the worker was restarted': [, 'Le processus a redémarré.'],

  announcement: ['{title}: {text}', '{title}\u00a0: {text}'],
  log: [, 'Journal'],
  dropped: ['Older entries deleted: {number}', 'Entrées supprimées\u00a0: {number}'],

  seconds: ['{number} s'],
  minutes: ['{number} min'],
  hours: ['{number} h'],
};

/** @typedef {keyof typeof MESSAGES} MessageKey */
