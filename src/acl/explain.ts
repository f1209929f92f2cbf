import { actionOf, isAbout, isAboutPublish, isFilterMet, topicOf } from './active-rules.ts';
import type { AccessRequest, ActiveRule, RoleOrigin } from './active-rules.ts';
import { levelsOf, overlaps } from './filter-algebra.ts';
import type { Subject } from './filter-template.ts';
import { shown, type RuleSet } from './rule-set.ts';

/** A rule as it is written. Texts are safe to print. */
interface WrittenRule {
  readonly effect: 'allow' | 'deny';
  readonly action: 'publish' | 'subscribe' | 'all';
  /** As it is written. */
  readonly topicFilter: string;
  /** Undefined for a grant of the client itself. */
  readonly role: string | undefined;
  /** `rules.yaml:12`; undefined for a grant. */
  readonly place: string | undefined;
}

/** A rule in an explanation. Texts are safe to print. */
export interface RuleNote extends WrittenRule {
  /** Its topic filter for this client; undefined where that is no different or a placeholder has no value. */
  readonly topicFilterHere: string | undefined;
  /** Why it did or did not decide, a short phrase. */
  readonly because: string;
}

/** A role of a client; one that is not known is in no file. */
interface HeldRole {
  readonly name: string;
  readonly origin: RoleOrigin;
  readonly isKnown: boolean;
}

/** What a client has. */
export interface Holdings {
  readonly roles: readonly HeldRole[];
  /** A line each, safe to print. */
  readonly rules: readonly string[];
  /** What holds where no rule matches. */
  readonly otherwise: 'allow' | 'deny';
}

/** Why something is allowed or not. */
export interface Explanation {
  readonly allowed: boolean;
  readonly request: AccessRequest;
  /** The same in one line, for logs and Reason Strings. */
  readonly line: string;
  /** The rule that decided; undefined where none matched, so that the default holds. */
  readonly deciding: RuleNote | undefined;
  /** Every other rule of the client. */
  readonly others: readonly RuleNote[];
  readonly roles: readonly HeldRole[];
  /** Rules of roles the client does not have that would match if it had them. */
  readonly notHeld: readonly RuleNote[];
  /** How many rules there are in roles the client does not have. */
  readonly notHeldCount: number;
}

/** What was decided, and about what. */
export interface Decision {
  readonly set: RuleSet;
  readonly subject: Subject;
  readonly request: AccessRequest;
  /** Undefined where no rule matched. */
  readonly rule: ActiveRule | undefined;
  readonly isAllowed: boolean;
  /** How many rules the client has. */
  readonly looked: number;
}

/** A decision in one line, such as `denied by rules.yaml:12 (role dashboard): deny subscribe sensors/secret/#`. */
export function decisionLine({ set, subject, request, rule, isAllowed, looked }: Decision): string {
  if (rule === undefined) {
    const { clientId, username } = subject;
    const who = username === '' ? `client ${shown(clientId)} without a user name` : `user ${shown(username)}`;
    const rules = looked === 1 ? '1 rule' : `${looked} rules`;
    return `no rule ${isAllowed ? 'denies' : 'allows'} ${requestText(request)} for ${who}: ${rules} looked at`;
  }
  const problem = rule.problem === undefined ? '' : ` (${rule.problem})`;
  return `${isAllowed ? 'allowed' : 'denied'} by ${ruleText(written(set, rule))}${problem}`;
}

/** An explanation as lines of text for people. */
export function explanationText(explanation: Explanation): string {
  const { allowed, request, line, deciding, others, roles, notHeld, notHeldCount } = explanation;
  const lines = [`${allowed ? 'Allowed' : 'Refused'}: ${requestText(request)}`, `  ${line}`];
  if (deciding?.topicFilterHere !== undefined)
    lines.push(`  The filter of this client is ${deciding.topicFilterHere}.`);
  const heading = deciding === undefined ? 'Rules of this client:' : 'Other rules of this client:';
  if (others.length > 0) lines.push(heading, ...others.map(noteLine));
  lines.push(rolesLine(roles));
  if (notHeld.length > 0) lines.push('Rules of other roles that would match:', ...notHeld.map(noteLine));
  const more = notHeldCount - notHeld.length;
  if (more > 0) lines.push(`Rules of other roles that would not match: ${more}.`);
  return `${lines.join('\n')}\n`;
}

/** The roles and rules of a client as lines of text for people. */
export function holdingsText({ roles, rules, otherwise }: Holdings): string {
  const heading = `Rules of this client, ${otherwise} where none matches:`;
  const lines = rules.length === 0 ? [`Rules of this client: none, so ${otherwise} holds.`] : [heading];
  return `${[rolesLine(roles), ...lines, ...rules.map((rule) => `  ${rule}`)].join('\n')}\n`;
}

/** A rule of a client, as it is written and as it is for that client. */
export function heldText(set: RuleSet, active: ActiveRule): string {
  const { rule, levels, problem } = active;
  const here = rule.topicFilter.isLiteral || problem !== undefined ? '' : ` (${shown(levels.join('/'))})`;
  return `${ruleText(written(set, active))}${here}${problem === undefined ? '' : `: ${problem}`}`;
}

function rolesLine(roles: readonly HeldRole[]): string {
  return `Roles of this client: ${roles.length === 0 ? 'none' : roles.map(roleText).join(', ')}.`;
}

function noteLine(note: RuleNote): string {
  const here = note.topicFilterHere === undefined ? '' : ` (${note.topicFilterHere})`;
  return `  ${ruleText(note)}${here}: ${note.because}`;
}

function roleText({ name, origin, isKnown }: HeldRole): string {
  return `${shown(name)} (${origin}${isKnown ? '' : ', not in the file'})`;
}

/** What is asked, as words. */
function requestText(request: AccessRequest): string {
  switch (request.action) {
    case 'publish':
      return `publish to ${shown(request.topicName)}`;
    case 'subscribe':
      return `subscribe to ${shown(request.topicFilter)}`;
    case 'receive':
      return `delivery of ${shown(request.topicName)}`;
  }
}

/** A rule with its place and role: `rules.yaml:12 (role dashboard): deny subscribe sensors/secret/#`. */
function ruleText({ effect, action, topicFilter, role, place }: WrittenRule): string {
  const where = role === undefined ? 'a grant of the client' : `${place} (role ${shown(role)})`;
  return `${where}: ${effect} ${action} ${topicFilter}`;
}

/** A rule of a client with why it did or did not decide. @param deciding the one that did; undefined for none. */
export function noteOf(
  set: RuleSet,
  active: ActiveRule,
  request: AccessRequest,
  deciding: ActiveRule | undefined,
): RuleNote {
  const { rule, levels, problem } = active;
  const isSame = rule.topicFilter.isLiteral || problem !== undefined;
  return {
    ...written(set, active),
    topicFilterHere: isSame ? undefined : shown(levels.join('/')),
    because: because(active, request, deciding),
  };
}

function written(set: RuleSet, { rule, role }: ActiveRule): WrittenRule {
  return {
    effect: rule.effect,
    action: rule.action,
    topicFilter: shown(rule.topicFilter.text),
    role,
    place: role === undefined ? undefined : `${set.file}:${rule.line}`,
  };
}

function because(active: ActiveRule, request: AccessRequest, deciding: ActiveRule | undefined): string {
  const { rule, levels, problem } = active;
  if (!isAbout(rule, actionOf(request))) return 'another action';
  if (request.action === 'publish' && !isAboutPublish(rule, request.retain, request.qos)) {
    if (request.qos > rule.qosMax) return `for QoS up to ${rule.qosMax}, not ${request.qos}`;
    return rule.retain === true ? 'for retained publishes only' : 'not for retained publishes';
  }
  const topic = topicOf(request);
  const asked = levelsOf(topic);
  if (isFilterMet(active, asked)) {
    if (problem !== undefined) return `${problem}, so it denies whatever could stand there`;
    if (active === deciding || deciding === undefined) return 'matches';
    return rule.effect === 'allow' && deciding.rule.effect === 'deny' ? 'matches, but a deny wins' : 'matches as well';
  }
  if (problem !== undefined && rule.effect === 'allow') return problem;
  if (request.action !== 'subscribe') return `does not match ${shown(topic)}`;
  return overlaps(levels, asked)
    ? `covers only a part of ${shown(topic)}`
    : `has no topic in common with ${shown(topic)}`;
}
