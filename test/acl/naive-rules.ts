/** Access rules by the book, slowly: topics are all written out, filters are regular expressions made by hand. */

/** A rule as it stands in a file. */
export interface NaiveRule {
  allow?: 'publish' | 'subscribe' | 'all';
  deny?: 'publish' | 'subscribe' | 'all';
  topics: string[];
  retain?: boolean;
  qos?: number;
}

/** A whole file of access rules, to be written as YAML or JSON. */
export interface NaiveFile {
  roles: Record<string, NaiveRule[]>;
  users?: Record<string, string[]>;
  clients?: Record<string, string[]>;
  anonymous?: string[];
  everyone?: string[];
}

/** Who asks. */
export interface NaiveClient {
  clientId: string;
  username: string;
  commonName?: string;
  roles?: string[];
  claims?: Record<string, unknown>;
  grants?: { action: 'publish' | 'subscribe'; topicFilter: string }[];
}

/** What is asked; a delivery is asked as `receive`. */
export type NaiveQuestion =
  | { way: 'publish'; topic: string; qos: number; retain: boolean }
  | { way: 'subscribe' | 'receive'; topic: string };

/** Every topic name of one to `depth` levels over these levels. */
export function allTopics(levels: readonly string[], depth: number): string[] {
  const found: string[] = [];
  let tails: string[] = [...levels];
  for (let i = 0; i < depth; i++) {
    found.push(...tails);
    tails = levels.flatMap((level) => tails.map((tail) => `${level}/${tail}`));
  }
  return found.filter((topic) => topic !== '');
}

/** The topics that match a filter; `§` is a level of any text, even at the beginning of `$` topics. */
export function filterPattern(filter: string): RegExp {
  const dollar = /^[+#]/.test(filter) ? '(?!\\$)' : '';
  const levels = filter.split('/');
  const isOpen = levels.at(-1) === '#';
  if (isOpen) levels.pop();
  const body = levels.map((level) => (level === '+' || level === '§' ? '[^/]*' : escaped(level))).join('/');
  if (!isOpen) return new RegExp(`^${dollar}${body}$`, 's');
  return levels.length === 0 ? new RegExp(`^${dollar}`, 's') : new RegExp(`^${dollar}${body}(/.*)?$`, 's');
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Decides by writing everything out. */
export class NaiveRules {
  readonly #file: NaiveFile;
  readonly #isAllowedOtherwise: boolean;
  /** All topics there are; every level that a rule or a question names is in it, and one that none names. */
  readonly #world: readonly string[];
  readonly #matches = new Map<string, Set<string>>();

  constructor(file: NaiveFile, isAllowedOtherwise: boolean, world: readonly string[]) {
    this.#file = file;
    this.#isAllowedOtherwise = isAllowedOtherwise;
    this.#world = world;
  }

  isAllowed(client: NaiveClient, question: NaiveQuestion): boolean {
    const asked = question.way === 'subscribe' ? [...this.#matching(question.topic)] : [question.topic];
    let isAllowed = this.#isAllowedOtherwise;
    for (const { effect, filter } of this.#rulesFor(client, question)) {
      const matching = this.#matching(filter);
      if (effect === 'deny' && asked.some((topic) => matching.has(topic))) return false;
      if (effect === 'allow' && asked.every((topic) => matching.has(topic))) isAllowed = true;
    }
    return isAllowed;
  }

  *#rulesFor(client: NaiveClient, question: NaiveQuestion): Iterable<{ effect: 'allow' | 'deny'; filter: string }> {
    const action = question.way === 'publish' ? 'publish' : 'subscribe';
    const held = new Set([...(this.#file.everyone ?? []), ...(client.roles ?? [])]);
    for (const role of client.username === '' ? (this.#file.anonymous ?? []) : []) held.add(role);
    for (const [user, roles] of Object.entries(this.#file.users ?? {})) {
      if (user === client.username) for (const role of roles) held.add(role);
    }
    for (const [id, roles] of Object.entries(this.#file.clients ?? {})) {
      if (id === client.clientId) for (const role of roles) held.add(role);
    }
    for (const [role, rules] of Object.entries(this.#file.roles)) {
      if (!held.has(role)) continue;
      for (const rule of rules) {
        const effect = rule.allow === undefined ? 'deny' : 'allow';
        if (![action, 'all'].includes((rule.allow ?? rule.deny) as string)) continue;
        if (question.way === 'publish' && rule.retain !== undefined && rule.retain !== question.retain) continue;
        if (question.way === 'publish' && rule.qos !== undefined && question.qos > rule.qos) continue;
        for (const topic of rule.topics) {
          const filter = replaced(topic, client, effect);
          if (filter !== undefined) yield { effect, filter };
        }
      }
    }
    for (const grant of client.grants ?? []) {
      if (grant.action === action) yield { effect: 'allow', filter: grant.topicFilter };
    }
  }

  #matching(filter: string): Set<string> {
    let matching = this.#matches.get(filter);
    if (matching === undefined) {
      const pattern = filterPattern(filter);
      matching = new Set(this.#world.filter((topic) => pattern.test(topic)));
      this.#matches.set(filter, matching);
    }
    return matching;
  }
}

/** A filter with the client's values put in; undefined for an allow that cannot have them. */
function replaced(topic: string, client: NaiveClient, effect: 'allow' | 'deny'): string | undefined {
  const values: [string, unknown][] = [
    ['${clientId}', client.clientId],
    ['${username}', client.username],
    ['${cert.cn}', client.commonName],
    ...['tenant', 'line', 'tags', 'constructor'].map((name): [string, unknown] => [
      `\${claim.${name}}`,
      Object.entries(client.claims ?? {}).find(([key]) => key === name)?.[1],
    ]),
  ];
  let isBroken = false;
  const levels = topic.split('/').map((level, index) => {
    let text = level;
    for (const [placeholder, value] of values) {
      if (!level.includes(placeholder)) continue;
      const isText = typeof value === 'string' || typeof value === 'number';
      const isUsable = isText && value !== '' && !['+', '#', '/', '\0'].some((one) => String(value).includes(one));
      const isDollar = index === 0 && level.startsWith(placeholder) && String(value).startsWith('$');
      if (!isUsable || isDollar) {
        isBroken = true;
        return '§';
      }
      text = text.split(placeholder).join(String(value));
    }
    return text;
  });
  return isBroken && effect === 'allow' ? undefined : levels.join('/');
}
