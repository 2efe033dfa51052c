/**
 * A text with `{placeholders}`, or one text per plural category of its `number`.
 *
 * @typedef {string | Record<string, string>} Message
 */

/** The built-in languages, in the order of the texts below. */
export const LANGUAGES = ['en', 'fr'];

/**
 * The built-in texts by key. A missing translation falls back to English, and English to the key.
 *
 * @satisfies {Record<string, (Message | undefined)[]>}
 */
export const MESSAGES = {
  title: ['Progress', 'Progression'],
  connecting: ['Connecting', 'Connexion'],
  waiting: ['Waiting', 'En attente'],
  running: ['Running', 'En cours'],
  completed: ['Completed', 'Terminé'],
  failed: ['Failed', 'Échec'],
  cancelled: ['Cancelled', 'Annulé'],
  cancelling: ['Cancelling…', 'Annulation…'],
  stale: ['Not responding', 'Ne répond plus'],
  reconnecting: ['Reconnecting', 'Reconnexion'],
  offline: ['Offline', 'Hors ligne'],
  lost: ['Unavailable', 'Indisponible'],

  total: ['Total'],
  processed: ['Processed', 'Traités'],
  remaining: ['Remaining', 'Restants'],
  errors: ['Errors', 'Erreurs'],
  countOfTotal: ['{processed} of {total}', '{processed} sur {total}'],
  'time-left': ['about {duration} left', 'encore {duration} environ'],

  errorCount: [
    { one: '{number} error', other: '{number} errors' },
    { one: '{number} erreur', other: '{number} erreurs' },
  ],
  silent: ['No sign of life for {duration}', 'Aucun signe de vie depuis {duration}'],

  network: ['No connection.', 'Pas de connexion.'],
  timeout: ['No answer.', 'Pas de réponse.'],
  server: ['Server not available.', 'Serveur indisponible.'],
  'not-found': ['Job not found.', 'Tâche introuvable.'],
  refused: ['Access refused.', 'Accès refusé.'],
  gone: ['Job removed.', 'Tâche supprimée.'],
  unreadable: ['Unreadable answer.', 'Réponse illisible.'],
  retryIn: ['Trying again in {duration}.', 'Nouvel essai dans {duration}.'],
  tryAgain: ['Try again', 'Réessayer'],

  cancel: ['Cancel', 'Annuler'],
  cancelFailed: ['Could not be cancelled.', 'Annulation impossible.'],
  // The error messages that the library itself writes into a record.
  'worker lost': [, 'Le processus a disparu.'],
  'the worker stopped before finishing': [, 'Le processus s’est arrêté avant la fin.'],

  log: ['Log', 'Journal'],
  dropped: ['Removed: {number}', 'Supprimées : {number}'],

  seconds: ['{number} s'],
  minutes: ['{number} min'],
  hours: ['{number} h'],
};

/** @typedef {keyof typeof MESSAGES} MessageKey */
