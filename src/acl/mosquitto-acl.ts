import { nearest } from '../lib/nearest.ts';
import { parseLiteralTemplate, parsePercentTemplate } from './filter-template.ts';
import { PROBLEMS_MAX, RulesError, shown, type Rule, type RuleSet } from './rule-set.ts';

/** Name of the role that lines before the first `user` make. */
const ANONYMOUS_ROLE = 'anonymous';

/** Name of the role that `pattern` lines make. */
const PATTERN_ROLE = 'patterns';

const ACCESS: ReadonlyMap<string, Pick<Rule, 'effect' | 'action'>> = new Map([
  ['read', { effect: 'allow', action: 'subscribe' }],
  ['write', { effect: 'allow', action: 'publish' }],
  ['readwrite', { effect: 'allow', action: 'all' }],
  ['deny', { effect: 'deny', action: 'all' }],
]);

/**
 * Reads a file in the format of Mosquitto's `acl_file`: `topic` lines before the first `user` are for anonymous clients,
 * those after it for that user, and `pattern` lines for everybody.
 *
 * ```text
 * topic read $SYS/#
 * user alice
 * topic readwrite sensors/#
 * pattern write sensors/%c/#
 * ```
 *
 * @param file its name for sentences.
 * @throws RulesError with every problem found, each with file and line.
 */
export function parseMosquittoAcl(file: string, text: string): RuleSet {
  const roles = new Map<string, Rule[]>();
  const users = new Map<string, string[]>();
  const problems: string[] = [];
  let role = ANONYMOUS_ROLE;
  for (const [index, whole] of text.split('\n').entries()) {
    if (problems.length === PROBLEMS_MAX) break;
    const line = index + 1;
    const words = whole.trim();
    if (words === '' || words.startsWith('#')) continue;
    const [keyword, rest] = cut(words);
    if (keyword === 'user') {
      role = `user ${rest}`;
      if (rest === '') problems.push(`${file}:${line}: user needs a name.`);
      else users.set(rest, [role]);
      continue;
    }
    const rule = ruleOf(keyword, rest, line);
    if (typeof rule === 'string') problems.push(`${file}:${line}: ${rule}`);
    else {
      const key = keyword === 'pattern' ? PATTERN_ROLE : role;
      const rules = roles.get(key);
      if (rules === undefined) roles.set(key, [rule]);
      else rules.push(rule);
    }
  }
  if (problems.length > 0) throw new RulesError(problems);
  // A user without a topic line has a role all the same.
  for (const [name] of users.values()) if (!roles.has(name!)) roles.set(name!, []);
  const held = (name: string): string[] => (roles.has(name) ? [name] : []);
  return { file, roles, users, clients: new Map(), anonymous: held(ANONYMOUS_ROLE), everyone: held(PATTERN_ROLE) };
}

/** The rule of a `topic` or `pattern` line, or what is wrong with it. */
function ruleOf(keyword: string, rest: string, line: number): Rule | string {
  if (keyword !== 'topic' && keyword !== 'pattern') return unknownKeyword(keyword);
  const [access, afterAccess] = cut(rest);
  // Without an access word the rest is the topic filter; one with a space in it needs the word.
  const topicFilter = afterAccess === '' ? rest : afterAccess;
  const right = ACCESS.get(afterAccess === '' ? 'readwrite' : access);
  if (topicFilter === '') return `${keyword} needs a topic filter.`;
  if (right === undefined) return unknownAccess(access);
  if (afterAccess === '' && ACCESS.has(access)) return `${keyword} ${access} needs a topic filter.`;
  const parsed = keyword === 'pattern' ? parsePercentTemplate(topicFilter) : parseLiteralTemplate(topicFilter);
  if ('problem' in parsed) return `topic filter "${shown(topicFilter)}": ${parsed.problem}`;
  return { ...right, topicFilter: parsed.template, retain: undefined, qosMax: 2, line };
}

/** The first word of a line, and what follows it. */
function cut(text: string): [word: string, rest: string] {
  const end = text.search(/[ \t]/);
  return end === -1 ? [text, ''] : [text.slice(0, end), text.slice(end).trimStart()];
}

function unknownKeyword(word: string): string {
  const near = nearest(word, ['user', 'topic', 'pattern']);
  if (near !== undefined) return `a line cannot begin with ${shown(word)}; did you mean ${near}?`;
  // The file may be another one, with secrets in it.
  return 'a line begins with user, topic or pattern, which this one does not; a file in YAML has a name that ends in .yaml.';
}

function unknownAccess(word: string): string {
  const near = nearest(word, ACCESS.keys());
  return `access is read, write, readwrite or deny, not ${shown(word)}${near === undefined ? '.' : `; did you mean ${near}?`}`;
}
