import type { Grant } from '../hooks/hooks.ts';
import { covers, overlaps } from './filter-algebra.ts';
import { parseLiteralTemplate, substitute, type Subject } from './filter-template.ts';
import type { Rule, RuleSet } from './rule-set.ts';

/** A rule as it is for one client, or for all where it has no placeholders. */
export interface ActiveRule {
  readonly rule: Rule;
  /** Undefined for a grant of the client itself, which stands in no file. */
  readonly role: string | undefined;
  /** Its topic filter with everything put in. */
  readonly levels: readonly string[];
  /**
   * Why its topic filter is not what it was meant to be; undefined where it is. An allow rule then allows nothing. A deny
   * rule denies all that its filter could have meant: were it left out instead, a client could rid itself of what forbids
   * it something by a name with a `#` in it, or by leaving a claim or a certificate away.
   */
  readonly problem: string | undefined;
}

/** Where a client has a role from. */
export type RoleOrigin = 'everyone' | 'anonymous' | 'users' | 'clients' | 'authentication';

/** What is asked: a publish, a topic filter of a subscription (without `$share/name/`), or a message that is to be delivered. */
export type AccessRequest =
  | { readonly action: 'publish'; readonly topicName: string; readonly retain: boolean; readonly qos: number }
  | { readonly action: 'subscribe'; readonly topicFilter: string }
  | { readonly action: 'receive'; readonly topicName: string };

/** Which rules a request asks: what is delivered is a matter of the rights to subscribe. */
export function actionOf(request: AccessRequest): 'publish' | 'subscribe' {
  return request.action === 'publish' ? 'publish' : 'subscribe';
}

/** The topic name or topic filter of a request. */
export function topicOf(request: AccessRequest): string {
  return request.action === 'subscribe' ? request.topicFilter : request.topicName;
}

/** The roles of a client, each with the first that gives it. Names that the rules do not know may be among them. */
export function rolesOf(set: RuleSet, subject: Subject): Map<string, RoleOrigin> {
  const { clientId, username } = subject;
  const roles = new Map<string, RoleOrigin>();
  const add = (names: readonly string[] | undefined, origin: RoleOrigin): void => {
    for (const name of names ?? []) if (!roles.has(name)) roles.set(name, origin);
  };
  add(set.everyone, 'everyone');
  if (username === '') add(set.anonymous, 'anonymous');
  else add(set.users.get(username), 'users');
  add(set.clients.get(clientId), 'clients');
  add(subject.roles, 'authentication');
  return roles;
}

/** A rule of a role as it is for a client. */
export function activeRule(rule: Rule, role: string, subject: Subject): ActiveRule {
  return { rule, role, ...substitute(rule.topicFilter, subject) };
}

/** A grant of a client as a rule. */
export function grantRule({ action, topicFilter }: Grant): ActiveRule {
  const parsed = parseLiteralTemplate(topicFilter);
  const isValid = 'template' in parsed;
  const template = isValid ? parsed.template : { text: topicFilter, levels: [topicFilter], isLiteral: true };
  const rule: Rule = { effect: 'allow', action, topicFilter: template, retain: undefined, qosMax: 2, line: 0 };
  const problem = isValid ? undefined : 'it is no topic filter';
  return { rule, role: undefined, levels: template.levels as readonly string[], problem };
}

/** Whether a rule is about publish or about subscribe. */
export function isAbout(rule: Rule, action: 'publish' | 'subscribe'): boolean {
  return rule.action === action || rule.action === 'all';
}

/** Whether a rule is about publishes with this RETAIN flag and QoS. */
export function isAboutPublish(rule: Rule, retain: boolean, qos: number): boolean {
  return qos <= rule.qosMax && (rule.retain === undefined || rule.retain === retain);
}

/** Whether the topic filter of a rule is enough: an allow covers all of what is asked, a deny touches any of it. */
export function isFilterMet({ rule, levels, problem }: ActiveRule, asked: readonly string[]): boolean {
  if (rule.effect === 'deny') return overlaps(levels, asked);
  return problem === undefined && covers(levels, asked);
}
