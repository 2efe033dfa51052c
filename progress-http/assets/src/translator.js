/** @import { Message, MessageKey } from './messages.js' */
import { LANGUAGES, MESSAGES } from './messages.js';

/**
 * Translates texts, numbers and durations into one language.
 *
 * @typedef {ReturnType<typeof translator>} Translator
 */

/**
 * @param {string} wanted a language tag, with or without a region
 * @param {Record<string, any>} own texts that replace or add to the built-in ones: either in every
 *   language, or under the tag of one
 */
export function translator(wanted, own) {
  const tag = canonical(wanted);
  const base = tag.split('-')[0];
  const known = LANGUAGES.indexOf(base);
  /** The language of the texts; numbers follow it, so that the two do not differ. */
  const language = known < 0 && !own[base] && !own[tag] ? 'en' : tag;
  const texts = { ...own, ...own[base], ...own[tag] };
  const plural = new Intl.PluralRules(language);

  /**
   * @param {MessageKey | string} key returned as it is if it has no text
   * @param {Record<string, string | number>} [values] for the placeholders; `number` selects the
   *   plural
   * @returns {string}
   */
  const say = (key, values) => {
    /** @type {(Message | undefined)[] | undefined} */
    const builtIn = MESSAGES[/** @type {MessageKey} */ (key)];
    const message =
      texts[key] ?? builtIn?.[known] ?? builtIn?.[0] ?? (builtIn ? withCapital(key) : key);
    const template = message[plural.select(Number(values?.number))] ?? message.other ?? message;
    // Unknown placeholders stay as they are, because a job's own messages are not templates.
    return template.replace(
      /\{(\w+)\}/g,
      (/** @type {string} */ placeholder, /** @type {string} */ name) =>
        (values?.[name] ?? placeholder).toLocaleString(language),
    );
  };

  /**
   * Formats a duration, rounded down, in its two largest units: "12 s", "3 min 5 s", "2 h 10 min".
   *
   * @param {number} seconds
   */
  const duration = (seconds) => {
    const whole = Math.floor(seconds);
    const minutes = Math.floor(whole / 60);
    const parts = [
      minutes >= 60 && say('hours', { number: Math.floor(minutes / 60) }),
      minutes % 60 && say('minutes', { number: minutes % 60 }),
      // With a decimal below a second, because "0 s" would be misleading.
      minutes < 60 &&
        (whole % 60 || !minutes) &&
        say('seconds', { number: whole % 60 || Number(seconds.toFixed(1)) }),
    ];
    return parts.filter(Boolean).join(' ');
  };

  return { language, say, duration };
}

/** @param {string} key */
export const withCapital = (key) => key[0].toUpperCase() + key.slice(1);

/**
 * Returns the canonical language tag. An invalid tag means English and does not break the page.
 *
 * @param {string} tag
 */
function canonical(tag) {
  try {
    return Intl.getCanonicalLocales(`${tag}`)[0];
  } catch {
    return 'en';
  }
}
