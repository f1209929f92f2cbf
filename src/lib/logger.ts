import type { Clock } from './clock.ts';

/** How much is logged: each level includes those before it. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** The log levels from the gravest to the most talkative. */
const logLevels: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** Values worth logging next to a message; names are camelCase, units last. */
type LogFields = Record<string, unknown>;

/** Where the broker says what happens to it. The message is a constant sentence (it is the cause of rate limiting); what varies goes into fields. */
export interface Logger {
  /** What is logged; for callers that want to skip work for a line nobody reads. */
  readonly level: LogLevel;
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

/** Whether lines of level info are written: spares their fields where they are not. */
export function logsInfo(logger: Logger): boolean {
  return logger.level === 'info' || logger.level === 'debug';
}

/** What a logger is made of. */
export interface LoggerOptions {
  level: LogLevel;
  /** `json`: one object per line; `pretty`: one line for people. */
  format: 'json' | 'pretty';
  /** Takes one line, without its end. */
  write: (line: string) => void;
  clock: Clock;
  /** Fields of every line, before its own. */
  fields?: LogFields;
}

/** Lines of one cause (level and message) per window; the rest is summed up in one line when the window ends. */
const linesPerWindow = 20;
/** Length of a rate-limiting window, ms. */
const windowMs = 10_000;
/** Causes counted apart; above it the rest share one count. */
const causesMax = 1_000;
/** Characters of one logged string. */
const textMax = 1_024;

/** Field names whose values are never written. */
const secretName = /passw|secret|token|credential|authorization|privatekey|authenticationdata/i;
/** Control characters JSON leaves alone, line separators, and marks that reorder text on a terminal. */
const unsafe = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Makes a logger whose lines are safe to print, bounded in number per cause, and free of secrets. */
export function createLogger(options: LoggerOptions): Logger {
  return new RateLimitedLogger(options);
}

interface Cause {
  level: LogLevel;
  message: string;
  windowStart: number;
  lines: number;
  suppressed: number;
}

class RateLimitedLogger implements Logger {
  readonly level: LogLevel;
  readonly #options: LoggerOptions;
  readonly #causes = new Map<string, Cause>();

  constructor(options: LoggerOptions) {
    this.level = options.level;
    this.#options = options;
  }

  error(message: string, fields?: LogFields): void {
    this.#log('error', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#log('warn', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#log('info', message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#log('debug', message, fields);
  }

  #log(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (logLevels.indexOf(level) > logLevels.indexOf(this.level)) return;
    const now = this.#options.clock.now();
    const cause = this.#cause(level, message, now);
    if (cause.lines >= linesPerWindow) {
      this.#suppress(cause, now);
      return;
    }
    cause.lines += 1;
    this.#write(now, level, message, fields);
  }

  #cause(level: LogLevel, message: string, now: number): Cause {
    let key = `${level} ${message}`;
    let text = message;
    if (this.#causes.size >= causesMax && !this.#causes.has(key)) {
      this.#forgetOld(now);
      if (this.#causes.size >= causesMax) {
        text = 'other causes';
        key = `${level} ${text}`;
      }
    }
    let cause = this.#causes.get(key);
    if (cause === undefined || (cause.suppressed === 0 && now - cause.windowStart >= windowMs)) {
      cause = { level, message: text, windowStart: now, lines: 0, suppressed: 0 };
      this.#causes.set(key, cause);
    }
    return cause;
  }

  #forgetOld(now: number): void {
    for (const [key, cause] of this.#causes) {
      if (cause.suppressed === 0 && now - cause.windowStart >= windowMs) this.#causes.delete(key);
    }
  }

  #suppress(cause: Cause, now: number): void {
    cause.suppressed += 1;
    if (cause.suppressed > 1) return;
    // One timer for a cause that is too loud, not one for each line.
    this.#options.clock.setTimeout(() => this.#sumUp(cause), Math.max(0, cause.windowStart + windowMs - now));
  }

  #sumUp(cause: Cause): void {
    this.#causes.delete(`${cause.level} ${cause.message}`);
    const fields = { cause: cause.message, count: cause.suppressed, windowMs };
    this.#write(this.#options.clock.now(), cause.level, 'suppressed', fields);
  }

  #write(now: number, level: LogLevel, message: string, own: LogFields): void {
    const time = new Date(now).toISOString();
    const fields = { ...this.#options.fields, ...own };
    this.#options.write(
      this.#options.format === 'json'
        ? jsonLine(time, level, message, fields)
        : prettyLine(time, level, message, fields),
    );
  }
}

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  let line = `{"time":${quote(time)},"level":${quote(level)},"message":${quote(cut(message))}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name === 'time' || name === 'level' || name === 'message') continue;
    line += `,${quote(name)}:${fieldText(name, value)}`;
  }
  return `${line}}`;
}

function prettyLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  let line = `${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${quote(cut(message)).slice(1, -1).replaceAll('\\"', '"')}`;
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const text = fieldText(name, value);
    line += ` ${quote(name).slice(1, -1)}=${/^"[\w./:@$#+*-]+"$/.test(text) ? text.slice(1, -1) : text}`;
  }
  return line;
}

/** A field's value as JSON in ASCII-safe form; never throws, whatever the value. */
function fieldText(name: string, value: unknown): string {
  if (secretName.test(name)) return '"***"';
  try {
    return escapeUnsafe(JSON.stringify(value, plainOrHidden) ?? quote(typeof value));
  } catch {
    return '"(cannot be written)"'; // cyclic, or a getter that throws
  }
}

function plainOrHidden(this: unknown, name: string, value: unknown): unknown {
  if (secretName.test(name)) return '***';
  // Buffer has a toJSON of its own, which has run by now; the holder still has the original.
  const original = (this as Record<string, unknown>)[name];
  return plain(original instanceof Uint8Array ? original : value);
}

function plain(value: unknown): unknown {
  if (typeof value === 'string') return cut(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  if (value instanceof Error) {
    const code = (value as NodeJS.ErrnoException).code;
    return code === undefined ? value.message : `${value.message} (${code})`;
  }
  return value;
}

function cut(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax)}… (${text.length} characters)`;
}

function quote(text: string): string {
  return escapeUnsafe(JSON.stringify(text));
}

function escapeUnsafe(json: string): string {
  return json.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
