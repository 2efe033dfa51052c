/** @import { Message, MessageKey } from './messages.js' */
import { languages } from './messages.js';

const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** Seconds below this are worth a decimal; "0 s" would be an odd thing to say of a job that ran. */
const SHORT = 1;

/** The words of one language, with its numbers and plurals. */
export class Translator {
  #messages;
  #number;
  #percent;
  #plural;

  /**
   * @param {string} wanted a language tag, with or without a region
   * @param {Record<string, unknown>} own texts that replace or add to the built-in ones: for every language,
   *   or under the tag of one
   */
  constructor(wanted, own) {
    const tag = supported(wanted);
    const base = tag.split('-')[0];
    const tags = [base, tag];
    /** The language that is really spoken; numbers follow it, because half a translation is none. */
    this.language = tags.some((name) => name in languages || name in own) ? tag : 'en';
    this.#messages = /** @type {Record<MessageKey, Message>} */ (
      Object.assign({}, languages.en, ...tags.map((name) => languages[name]), own, ...tags.map((name) => own[name]))
    );
    this.#number = new Intl.NumberFormat(this.language, { maximumFractionDigits: 1 });
    this.#percent = new Intl.NumberFormat(this.language, { style: 'percent' });
    this.#plural = new Intl.PluralRules(this.language);
  }

  /**
   * @param {MessageKey} key
   * @param {Record<string, string>} [values] what stands for the placeholders
   * @param {number} [count] what the plural form follows
   */
  text(key, values = {}, count = 0) {
    const message = this.#messages[key];
    const template = typeof message === 'string' ? message : (message[this.#plural.select(count)] ?? message.other);
    return template.replace(/\{(\w+)\}/g, (placeholder, name) => values[name] ?? placeholder);
  }

  /**
   * @param {MessageKey} key a message that counts something
   * @param {number} count
   */
  counted(key, count) {
    return this.text(key, { number: this.number(count) }, count);
  }

  /** @param {number} value */
  number(value) {
    return this.#number.format(value);
  }

  /** @param {number} percent 0 to 100 */
  percent(percent) {
    return this.#percent.format(percent / 100);
  }

  /**
   * The two largest units that matter: "12 s", "3 min 5 s", "2 h 10 min".
   *
   * @param {number} seconds
   */
  duration(seconds) {
    const whole = Math.round(seconds);
    if (whole < MINUTE) return this.counted('seconds', seconds < SHORT ? seconds : whole);
    if (whole < HOUR) return this.#pair('minutes', Math.floor(whole / MINUTE), 'seconds', whole % MINUTE);
    return this.#pair('hours', Math.floor(whole / HOUR), 'minutes', Math.floor((whole % HOUR) / MINUTE));
  }

  /**
   * An estimate, no finer than it is true: it would flicker otherwise.
   *
   * @param {number} seconds
   */
  estimate(seconds) {
    const step = seconds < MINUTE ? 5 : MINUTE;
    return this.duration(Math.max(Math.ceil(seconds / step), 1) * step);
  }

  /**
   * @param {MessageKey} unit
   * @param {number} count
   * @param {MessageKey} smaller
   * @param {number} rest
   */
  #pair(unit, count, smaller, rest) {
    const parts = [this.counted(unit, count)];
    if (rest) parts.push(this.counted(smaller, rest));
    return parts.join(' ');
  }
}

/**
 * A language tag is typed by hand, and a wrong one must not cost the page its bar.
 *
 * @param {string} tag
 */
function supported(tag) {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? 'en';
  } catch {
    return 'en';
  }
}
