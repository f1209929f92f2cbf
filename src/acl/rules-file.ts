import type { Pair } from 'yaml';
import { nearest } from '../lib/nearest.ts';
import { nodeKind, parseYaml, rootKind, type YamlSource } from '../lib/yaml-source.ts';
import { parseTemplate, type FilterTemplate } from './filter-template.ts';
import { PROBLEMS_MAX, RulesError, shown, type Rule, type RuleSet } from './rule-set.ts';

/** Rules of a file at most, one for each topic filter: aliases could make more of a few lines than memory holds. */
const RULES_MAX = 100_000;

/** Roles that users, client ids and others are given, all together, for the same reason. */
const GIVEN_MAX = 1_000_000;

const SECTIONS: readonly string[] = ['roles', 'users', 'clients', 'anonymous', 'everyone'];
const RULE_KEYS: readonly string[] = ['allow', 'deny', 'topics', 'retain', 'qos'];
const ACTIONS = ['publish', 'subscribe', 'all'] as const;

/**
 * Reads access rules written in YAML or JSON.
 * @param file its name for sentences.
 * @throws RulesError with every problem found, each with file and line.
 */
export function parseRules(file: string, text: string): RuleSet {
  // Every scalar stays the text it is: a user may be called 007 or null.
  const source = parseYaml(file, text, { schema: 'failsafe', uniqueKeys: false });
  if (!('document' in source)) throw new RulesError(source);
  return new RulesReading(file, source).read();
}

/** The name of a role where something is said to have it. */
interface NamedRole {
  readonly name: string;
  readonly line: number;
}

/** A key of a section with what stands below it. */
interface Entry {
  readonly key: string;
  readonly line: number;
  /** Undefined for nothing. */
  readonly value: unknown;
}

class RulesReading {
  readonly #file: string;
  readonly #source: YamlSource;
  readonly #problems: { line: number; text: string }[] = [];
  /** Roles named anywhere, checked once all roles are known. */
  readonly #named: NamedRole[] = [];
  #ruleCount = 0;

  constructor(file: string, source: YamlSource) {
    this.#file = file;
    this.#source = source;
  }

  read(): RuleSet {
    const root: unknown = this.#source.document.contents;
    const sections = new Map<string, Entry>();
    for (const entry of this.#entries(root, 1, 'the file', 'sections such as "roles:"')) {
      if (SECTIONS.includes(entry.key)) sections.set(entry.key, entry);
      else this.#unknownKey(entry, 'section', SECTIONS);
    }
    if (!sections.has('roles') && this.#problems.length === 0) {
      this.#problem(1, 'there is no section "roles:"; without roles there are no rules.');
    }
    const set: RuleSet = {
      file: this.#file,
      roles: this.#roles(sections.get('roles')),
      users: this.#roleLists(sections.get('users')),
      clients: this.#roleLists(sections.get('clients')),
      anonymous: this.#roleList(sections.get('anonymous')),
      everyone: this.#roleList(sections.get('everyone')),
    };
    for (const { name, line } of this.#named) {
      if (!set.roles.has(name)) this.#unknownRole(name, line, set.roles.keys());
    }
    if (this.#problems.length > 0) throw this.#error();
    return set;
  }

  #roles(section: Entry | undefined): Map<string, readonly Rule[]> {
    const roles = new Map<string, readonly Rule[]>();
    if (section === undefined) return roles;
    const entries = this.#entries(section.value, section.line, 'roles', 'roles with their rules');
    if (entries.length === 0 && this.#problems.length === 0) {
      this.#problem(section.line, 'roles has no role; without roles there are no rules.');
    }
    for (const { key, line, value } of entries) {
      const rules: Rule[] = [];
      for (const item of this.#items(value, line, `role ${shown(key)}`, 'a list of rules')) {
        rules.push(...this.#rules(item, key));
      }
      roles.set(key, rules);
    }
    return roles;
  }

  /** The rules of one item of a role: one for each topic filter. */
  #rules({ value, line }: Entry, role: string): Rule[] {
    const subject = `a rule of role ${shown(role)}`;
    const problemsBefore = this.#problems.length;
    const keys = new Map<string, Entry>();
    for (const entry of this.#entries(value, line, subject, '"allow:" or "deny:" and "topics:"')) {
      if (RULE_KEYS.includes(entry.key)) keys.set(entry.key, entry);
      else this.#unknownKey(entry, 'key in a rule', RULE_KEYS);
    }
    if (this.#problems.length > problemsBefore) return [];
    const allow = keys.get('allow');
    const deny = keys.get('deny');
    const effect = allow ?? deny;
    if (effect === undefined || (allow !== undefined && deny !== undefined)) {
      this.#problem(line, `${subject} needs either "allow:" or "deny:".`);
      return [];
    }
    const action = this.#word(effect, ACTIONS);
    const retain = this.#word(keys.get('retain'), ['true', 'false']);
    const qos = this.#word(keys.get('qos'), ['0', '1', '2']);
    const topics = keys.get('topics');
    if (topics === undefined) this.#problem(line, `${subject} needs "topics:", a list of topic filters.`);
    const limits = keys.get('retain') ?? keys.get('qos');
    if (limits !== undefined && action !== 'publish' && action !== undefined) {
      this.#problem(limits.line, `${limits.key} goes with publish alone, not with ${action}.`);
    }
    if (deny !== undefined && keys.has('qos')) {
      this.#problem(keys.get('qos')!.line, 'qos goes with allow: what a rule allows up to a QoS is refused above it.');
    }
    const filters = this.#topicFilters(topics);
    if (action === undefined) return [];
    return filters.map(({ template, line: filterLine }) => ({
      effect: allow === undefined ? 'deny' : 'allow',
      action,
      topicFilter: template,
      retain: retain === undefined ? undefined : retain === 'true',
      qosMax: qos === undefined ? 2 : Number(qos),
      line: filterLine,
    }));
  }

  #topicFilters(topics: Entry | undefined): { template: FilterTemplate; line: number }[] {
    const found: { template: FilterTemplate; line: number }[] = [];
    if (topics === undefined) return found;
    const items = this.#items(topics.value, topics.line, 'topics', "a list of topic filters such as ['a/b', 'c/#']");
    if (items.length === 0 && this.#problems.length === 0) {
      this.#problem(topics.line, 'topics is empty: a rule needs at least one topic filter.');
    }
    for (const { value, line } of items) {
      const text = this.#text(value);
      if (text === undefined) {
        this.#problem(line, `topics must hold topic filters, not ${nodeKind(this.#source.yaml, value)}.`);
        continue;
      }
      const parsed = parseTemplate(text);
      this.#ruleCount += 1;
      if (this.#ruleCount > RULES_MAX) throw new RulesError([`${this.#file}:${line}: more than 100,000 rules.`]);
      if ('template' in parsed) found.push({ template: parsed.template, line });
      else this.#problem(line, `topic filter "${shown(text)}": ${parsed.problem}`);
    }
    return found;
  }

  /** Users or client ids with their roles. */
  #roleLists(section: Entry | undefined): Map<string, readonly string[]> {
    const lists = new Map<string, readonly string[]>();
    if (section === undefined) return lists;
    const entries = this.#entries(section.value, section.line, section.key, 'names, each with a list of roles');
    for (const entry of entries) lists.set(entry.key, this.#roleList(entry));
    return lists;
  }

  #roleList(entry: Entry | undefined): string[] {
    if (entry === undefined) return [];
    const names: string[] = [];
    for (const { value, line } of this.#items(entry.value, entry.line, shown(entry.key), 'a list of roles')) {
      const name = this.#text(value);
      if (name === undefined) {
        this.#problem(line, `${shown(entry.key)} must be a list of names of roles.`);
      } else {
        names.push(name);
        this.#named.push({ name, line });
        if (this.#named.length > GIVEN_MAX)
          throw new RulesError([`${this.#file}:${line}: more than 1,000,000 roles of users, client ids and others.`]);
      }
    }
    return names;
  }

  /** One of a few words. */
  #word<T extends string>(entry: Entry | undefined, words: readonly T[]): T | undefined {
    if (entry === undefined) return undefined;
    const text = this.#text(entry.value);
    const word = words.find((one) => one === text);
    if (word === undefined) {
      const near = text === undefined || text.length === 1 ? undefined : nearest(text, words);
      const hint = near === undefined ? '' : `; did you mean ${near}?`;
      const found = nodeKind(this.#source.yaml, this.#source.resolved(entry.value));
      this.#problem(entry.line, `${entry.key} must be one of ${words.join(', ')}, not ${found}${hint || '.'}`);
    }
    return word;
  }

  /** Keys and values of a mapping; a problem where it is none. */
  #entries(node: unknown, line: number, subject: string, expected: string): Entry[] {
    const value = this.#source.resolved(node);
    if (!this.#source.yaml.isMap(value)) {
      this.#problem(line, `${subject} must be ${expected}, not ${this.#kind(value)}.`);
      return [];
    }
    const entries = new Map<string, Entry>();
    for (const pair of value.items) {
      const entry = this.#entry(pair, line);
      if (entry === undefined) this.#problem(line, `a key of ${subject} is not a name.`);
      else if (entries.has(entry.key)) this.#problem(entry.line, `${shown(entry.key)} stands twice in ${subject}.`);
      else entries.set(entry.key, entry);
    }
    return [...entries.values()];
  }

  #entry(pair: Pair, line: number): Entry | undefined {
    const key = this.#text(pair.key);
    return key === undefined || key === '' ? undefined : { key, line: this.#lineOf(pair.key, line), value: pair.value };
  }

  /** Items of a list; a problem where it is none. */
  #items(node: unknown, line: number, subject: string, expected: string): Entry[] {
    const value = this.#source.resolved(node);
    if (this.#source.yaml.isSeq(value)) {
      return value.items.map((item) => ({ key: subject, line: this.#lineOf(item, line), value: item }));
    }
    this.#problem(line, `${subject} must be ${expected}, not ${this.#kind(value)}.`);
    return [];
  }

  #text(node: unknown): string | undefined {
    const value = this.#source.resolved(node);
    return this.#source.yaml.isScalar(value) && typeof value.value === 'string' ? value.value : undefined;
  }

  #kind(node: unknown): string {
    if (node === null || node === undefined || this.#text(node) === '') return 'nothing';
    const { yaml, document } = this.#source;
    return node === document.contents ? rootKind(yaml, node) : nodeKind(yaml, node);
  }

  #lineOf(node: unknown, otherwise: number): number {
    if (!this.#source.yaml.isNode(node) || node.range === undefined || node.range === null) return otherwise;
    return this.#source.lineOf(node.range[0]);
  }

  #unknownKey({ key, line }: Entry, what: string, keys: readonly string[]): void {
    const near = nearest(key, keys);
    const hint = near === undefined ? `there are ${keys.join(', ')}.` : `did you mean ${near}?`;
    this.#problem(line, `there is no ${what} ${shown(key)}; ${hint}`);
  }

  #unknownRole(name: string, line: number, roles: Iterable<string>): void {
    const near = nearest(name, roles);
    const hint = near === undefined ? 'roles are defined below "roles:".' : `did you mean ${shown(near)}?`;
    this.#problem(line, `there is no role ${shown(name)}; ${hint}`);
  }

  #problem(line: number, text: string): void {
    this.#problems.push({ line, text });
    if (this.#problems.length === PROBLEMS_MAX) throw this.#error();
  }

  #error(): RulesError {
    const inOrder = this.#problems.toSorted((a, b) => a.line - b.line);
    return new RulesError(inOrder.map(({ line, text }) => `${this.#file}:${line}: ${text}`));
  }
}
