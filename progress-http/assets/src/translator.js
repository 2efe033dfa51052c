/** @import { Message, MessageKey } from './messages.js' */
import { LANGUAGES, MESSAGES } from './messages.js';

/**
 * The words of one language, with its numbers and plurals.
 *
 * @typedef {ReturnType<typeof translator>} Translator
 */

/**
 * @param {string} wanted a language tag, with or without a region
 * @param {Record<string, any>} own texts that replace or add to the built-in ones: for every language, or under the
 *   tag of one
 */
export function translator(wanted, own) {
  const tag = canonical(wanted);
  const base = tag.split('-')[0];
  const known = LANGUAGES.indexOf(base);
  /** The language that is really spoken; numbers follow it, because half a translation is none. */
  const language = known < 0 && !own[base] && !own[tag] ? 'en' : tag;
  const texts = { ...own, ...own[base], ...own[tag] };
  const plural = new Intl.PluralRules(language);

  /**
   * @param {MessageKey | string} key what has no text of its own is said as it is
   * @param {Record<string, string | number>} [values] what stands for the placeholders; the plural follows `number`
   * @returns {string}
   */
  const say = (key, values) => {
    /** @type {(Message | undefined)[] | undefined} */
    const builtIn = MESSAGES[/** @type {MessageKey} */ (key)];
    const message = texts[key] ?? builtIn?.[known] ?? builtIn?.[0] ?? key;
    const template = message[plural.select(Number(values?.number))] ?? message.other ?? message;
    // What stands for nothing is left alone: the words of a job are no template.
    return template.replace(/\{(\w+)\}/g, (/** @type {string} */ placeholder, /** @type {string} */ name) =>
      (values?.[name] ?? placeholder).toLocaleString(language),
    );
  };

  /**
   * The two largest units that matter, of what has passed in full: "12 s", "3 min 5 s", "2 h 10 min".
   *
   * @param {number} seconds
   */
  const duration = (seconds) => {
    const whole = Math.floor(seconds);
    const minutes = Math.floor(whole / 60);
    const parts = [
      minutes >= 60 && say('hours', { number: Math.floor(minutes / 60) }),
      minutes % 60 && say('minutes', { number: minutes % 60 }),
      // Below a second a decimal is worth it: "0 s" would be an odd thing to say of a job that ran.
      minutes < 60 && (whole % 60 || !minutes) && say('seconds', { number: whole % 60 || Number(seconds.toFixed(1)) }),
    ];
    return parts.filter(Boolean).join(' ');
  };

  return { language, say, duration };
}

/**
 * A language tag is typed by hand, and a wrong one must not cost the page its bar.
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
