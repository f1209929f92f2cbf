import type { Grant } from '../hooks/hooks.ts';
import { parseTopicFilter } from '../protocol/topic.ts';

/** Characters a name may have. */
const nameLengthMax = 256;
const rolesMax = 64;
const grantsMax = 256;

/** Control characters, halves of surrogates, line separators, and marks that reorder text on a terminal. */
const unsafe = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

/** Whether a text may be the name of a user or of a role: 1 to 256 characters, and none that deceives who reads it in a log. */
export function isFitName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name.length <= nameLengthMax && !unsafe.test(name);
}

/**
 * Reads roles from a claim or an answer: one name, or a list of at most 64.
 * @returns undefined where it is anything else.
 */
export function readRoles(value: unknown): readonly string[] | undefined {
  const roles: unknown[] = Array.isArray(value) ? value : [value];
  return roles.length <= rolesMax && roles.every(isFitName) ? roles : undefined;
}

/** What each key of the object of grants gives. */
const actions: ReadonlyMap<string, readonly Grant['action'][]> = new Map([
  ['pub', ['publish']],
  ['sub', ['subscribe']],
  ['all', ['publish', 'subscribe']],
]);

/**
 * Reads `{"pub": [filters], "sub": [filters], "all": [filters]}`: topic filters without `$share/`, at most 256 grants.
 * @returns undefined where it is anything else: what is not understood might have been meant to take something away.
 */
export function readGrants(value: unknown): readonly Grant[] | undefined {
  if (!isObject(value)) return undefined;
  const grants: Grant[] = [];
  for (const [key, filters] of Object.entries(value)) {
    const given = actions.get(key);
    if (given === undefined || !Array.isArray(filters) || filters.length > grantsMax) return undefined;
    for (const topicFilter of filters as unknown[]) {
      if (typeof topicFilter !== 'string' || parseTopicFilter(topicFilter)?.shareName !== '') return undefined;
      grants.push(...given.map((action) => ({ action, topicFilter })));
    }
  }
  return grants.length <= grantsMax ? grants : undefined;
}

/** Whether a value of JSON is an object, with keys. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether lists and objects are nested in a value of JSON at most so deep, and hold at most so many values; looks at no more. */
export function isModest(value: unknown, depthMax: number, valuesMax: number): boolean {
  let level: unknown[] = [value];
  let values = 0;
  for (let depth = 0; level.length > 0; depth++) {
    values += level.length;
    if (depth > depthMax || values > valuesMax) return false;
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
  return true;
}
