import { isIP } from 'node:net';
import { parseAddressRange } from '../lib/ip-address.ts';
import { maskUrl } from '../lib/mask-url.ts';
import { isRedisUrl, maskRedisUrl, parseRedisUrl, RedisAddressError } from '../store/redis/redis-address.ts';
import type { Option, TextRule } from './option.ts';

/** A value taken over (sizes as bytes), or what it should have been. */
export type CheckedValue =
  | { readonly ok: true; readonly value: unknown }
  /** `expected` and `found` complete the sentence "must be expected, not found". */
  | { readonly ok: false; readonly expected: string; readonly found: string };

const size = /^(\d{1,15})\s*(b|[kmgt]i?b)$/i;

/** Bytes per unit of a size, lower case. */
const sizeUnits: ReadonlyMap<string, number> = new Map([
  ['b', 1],
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['tb', 1e12],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
  ['tib', 2 ** 40],
]);

/** Regular expression (as in JSON Schema) of a size written as text. */
export const sizePattern = '^\\d+ *([bB]|[kKmMgGtT][iI]?[bB])$';

/** Checks one value as it comes from a file or an object. */
export function checkValue(option: Option, value: unknown): CheckedValue {
  const { type } = option;
  const wrong: CheckedValue = { ok: false, expected: expectation(option), found: describe(value) };
  switch (type.kind) {
    case 'boolean':
      return typeof value === 'boolean' ? { ok: true, value } : wrong;
    case 'choice':
      return typeof value === 'string' && type.values.includes(value) ? { ok: true, value } : wrong;
    case 'port':
      return value === 'off' || isInteger(value, 0, 65_535) ? { ok: true, value } : wrong;
    case 'budget': {
      const bytes = typeof value === 'string' && value !== 'auto' ? sizeOf(value) : value;
      return bytes === 'auto' || isInteger(bytes, 0, type.max) ? { ok: true, value: bytes } : wrong;
    }
    case 'integer': {
      const number = type.unit === 'bytes' && typeof value === 'string' ? sizeOf(value) : value;
      return isInteger(number, type.min, type.max) ? { ok: true, value: number } : wrong;
    }
    case 'text': {
      const fits = typeof value === 'string' && isText(value, type.rule, type.min, type.max);
      if (type.rule === 'redis-url' && fits) return checkRedisUrl(value, expectation(option));
      return fits ? { ok: true, value } : wrong;
    }
    case 'list': {
      const fits =
        Array.isArray(value) && value.every((item) => typeof item === 'string' && isText(item, type.rule, 1, 1_024));
      return fits ? { ok: true, value } : wrong;
    }
  }
}

/** Reads a value out of an environment variable or a flag (lists separated by commas) and checks it. */
export function checkText(option: Option, text: string): CheckedValue {
  const { kind } = option.type;
  let value: unknown = text;
  if ((kind === 'integer' || kind === 'port' || kind === 'budget') && /^-?\d{1,15}$/.test(text)) value = Number(text);
  else if (kind === 'boolean' && (text === 'true' || text === 'false')) value = text === 'true';
  else if (kind === 'list') value = text === '' ? [] : text.split(',').map((item) => item.trim());
  return checkValue(option, value);
}

function isInteger(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

function sizeOf(text: string): number {
  const match = size.exec(text.trim());
  if (match !== null) return Number(match[1]) * sizeUnits.get(match[2]!.toLowerCase())!;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

function isText(text: string, rule: TextRule, min: number, max: number): boolean {
  const length = Buffer.byteLength(text);
  // A lone surrogate has no UTF-8; a NUL would cut a path or a host name short.
  if (length < min || length > max || text.includes('\0') || !text.isWellFormed()) return false;
  switch (rule) {
    case 'host':
      return /^[\w.:%-]+$/.test(text);
    case 'path':
      return /^\/[^\s?#]*$/.test(text);
    case 'origin':
      return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
    case 'key-prefix':
      return /^[\w.-]+$/.test(text);
    case 'https-url':
      return text === '' || isSecureUrl(text);
    case 'network':
      return isNetwork(text);
    case 'file':
    case 'utf8':
    case 'redis-url':
      return true;
  }
}

/** An https URL; http only to this machine, where nobody else listens on the way. */
function isSecureUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.username !== '' || url.password !== '') return false;
  const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && isHere);
}

/** Without brackets and zone, which addresses have elsewhere. */
function isNetwork(text: string): boolean {
  const [address = ''] = text.split('/', 1);
  return isIP(address) !== 0 && !address.includes('%') && parseAddressRange(text) !== undefined;
}

function checkRedisUrl(url: string, expected: string): CheckedValue {
  try {
    parseRedisUrl(url);
    return { ok: true, value: url };
  } catch (error) {
    if (!(error instanceof RedisAddressError)) throw error;
    return { ok: false, expected, found: `${describe(url)}: ${error.message}` };
  }
}

/** What an option takes, as part of a sentence. */
function expectation(option: Option): string {
  const { type } = option;
  switch (type.kind) {
    case 'boolean':
      return 'true or false';
    case 'choice':
      return `${type.values.slice(0, -1).join(', ')} or ${type.values.at(-1)}`;
    case 'port':
      return 'a port from 0 to 65,535 or off';
    case 'budget':
      return `auto or a size from 0 to ${thousands(type.max)} bytes (such as 512 MiB)`;
    case 'integer':
      return type.unit === 'bytes'
        ? `a size from ${thousands(type.min)} to ${thousands(type.max)} bytes (such as 65536 or 64 KiB)`
        : `an integer from ${thousands(type.min)} to ${thousands(type.max)}`;
    case 'text':
      return textExpectation(type.rule, type.min, type.max);
    case 'list':
      return listExpectation(type.rule);
  }
}

function listExpectation(rule: TextRule): string {
  switch (rule) {
    case 'origin':
      return 'a list of origins such as https://dash.example (no path, no / at the end), or *';
    case 'network':
      return 'a list of addresses and networks such as 10.0.0.0/8';
    case 'file':
      return 'a list of file names';
    case 'host':
    case 'path':
    case 'utf8':
    case 'redis-url':
    case 'key-prefix':
    case 'https-url':
      return 'a list of texts';
  }
}

function textExpectation(rule: TextRule, min: number, max: number): string {
  switch (rule) {
    case 'host':
      return 'a host name or an IP address';
    case 'path':
      return 'a path that begins with /';
    case 'origin':
      return 'an origin such as https://dash.example';
    case 'file':
      return `a file name of ${min > 0 ? 'one' : 'zero'} to ${thousands(max)} bytes`;
    case 'redis-url':
      return 'the URL of a Redis such as redis://127.0.0.1:6379';
    case 'https-url':
      return 'an https URL without user and password (http for localhost), or nothing';
    case 'network':
      return 'an address or a network such as 10.0.0.0/8';
    case 'key-prefix':
      return `one to ${max} letters, digits, underscores, hyphens and dots`;
    case 'utf8':
      return `a text of at most ${thousands(max)} bytes`;
  }
}

/** A wrong value as part of a sentence, cut when it is long. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (typeof value === 'string') {
    // Wherever it was written: what stands before an @ may be a password.
    const shown = isRedisUrl(value) ? maskRedisUrl(value) : maskUrl(value);
    return JSON.stringify(shown.length <= 60 ? shown : `${shown.slice(0, 60)}…`);
  }
  if (Array.isArray(value)) {
    const shown = value.slice(0, 5).map((item: unknown) => (Array.isArray(item) ? 'a list' : describe(item)));
    if (value.length > shown.length) shown.push('…');
    return shown.length === 0 ? 'an empty list' : `a list of ${shown.join(', ')}`;
  }
  if (typeof value === 'object') return 'a section';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** An integer with commas. (`toLocaleString` takes 20 ms when it is called first.) */
export function thousands(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
