import {
  actionOf,
  activeRule,
  grantRule,
  isAbout,
  isAboutPublish,
  isFilterMet,
  rolesOf,
  topicOf,
} from './active-rules.ts';
import type { AccessRequest, ActiveRule, RoleOrigin } from './active-rules.ts';
import { DecisionCache } from './decision-cache.ts';
import { decisionLine, heldText, noteOf, type Explanation, type Holdings, type RuleNote } from './explain.ts';
import { levelsOf } from './filter-algebra.ts';
import type { Subject } from './filter-template.ts';
import type { Rule, RuleSet } from './rule-set.ts';

/** The question of the decision cache about deliveries; 0 to 5 are about publishes, by QoS and RETAIN. */
const RECEIVE = 6;

/** The rules of one client. */
interface Rights {
  readonly roles: ReadonlyMap<string, RoleOrigin>;
  readonly rules: readonly ActiveRule[];
  /** Those about publish and about subscribe, denies before allows. */
  readonly publish: readonly ActiveRule[];
  readonly subscribe: readonly ActiveRule[];
  /** Levels of a topic that these rules can tell apart: a topic of 65,536 levels costs no more than one of these. */
  readonly levelsMax: number;
  readonly decided: DecisionCache;
}

/**
 * Decides what clients may publish, subscribe to and receive.
 *
 * The order of rules does not count: a deny that matches wins, else an allow that matches, else the default. What a client
 * has (`Subject`) is looked at once; a client whose roles or claims change is a new object. New rules are a new `AccessRules`.
 */
export class AccessRules {
  readonly #set: RuleSet;
  readonly #default: 'allow' | 'deny';
  /** Rules without placeholders, which are the same for all clients. */
  readonly #shared = new Map<Rule, ActiveRule>();
  readonly #rights = new WeakMap<Subject, Rights>();

  /** @param otherwise what holds where no rule matches. */
  constructor(set: RuleSet, otherwise: 'allow' | 'deny') {
    this.#set = set;
    this.#default = otherwise;
    for (const [role, rules] of set.roles) {
      for (const rule of rules) {
        const { isLiteral, levels } = rule.topicFilter;
        if (!isLiteral) continue;
        this.#shared.set(rule, { rule, role, levels: levels as readonly string[], problem: undefined });
      }
    }
  }

  /** Whether a client may publish to a topic name with this RETAIN flag and QoS. */
  mayPublish(
    subject: Subject,
    topicName: string,
    message: { readonly retain: boolean; readonly qos: number },
  ): boolean {
    const { decided, publish, levelsMax } = this.#rightsOf(subject);
    const { retain, qos } = message;
    const question = retain ? 3 + qos : qos;
    const known = decided.get(topicName, question);
    if (known !== undefined) return known;
    const isAllowed = this.#isAllowed(decidingPublish(publish, levelsOf(topicName, levelsMax), retain, qos));
    decided.set(topicName, question, isAllowed);
    return isAllowed;
  }

  /** Whether a client may subscribe to all that a topic filter (without `$share/name/`) can match. */
  maySubscribe(subject: Subject, topicFilter: string): boolean {
    const { subscribe, levelsMax } = this.#rightsOf(subject);
    return this.#isAllowed(deciding(subscribe, levelsOf(topicFilter, levelsMax)));
  }

  /** Whether a message with this topic name may be delivered to a client: what its rights to subscribe say of that topic. */
  mayReceive(subject: Subject, topicName: string): boolean {
    const { decided, subscribe, levelsMax } = this.#rightsOf(subject);
    const known = decided.get(topicName, RECEIVE);
    if (known !== undefined) return known;
    const isAllowed = this.#isAllowed(deciding(subscribe, levelsOf(topicName, levelsMax)));
    decided.set(topicName, RECEIVE, isAllowed);
    return isAllowed;
  }

  /** Why something is allowed or not in one line, for logs and Reason Strings. */
  reason(subject: Subject, request: AccessRequest): string {
    const { rules } = this.#rightsOf(subject);
    const rule = this.#decidingOf(subject, request);
    return decisionLine({
      set: this.#set,
      subject,
      request,
      rule,
      isAllowed: this.#isAllowed(rule),
      looked: rules.length,
    });
  }

  /** Why something is allowed or not, with every rule. Its cost grows with all rules of the file. */
  explain(subject: Subject, request: AccessRequest): Explanation {
    const { roles, rules } = this.#rightsOf(subject);
    const rule = this.#decidingOf(subject, request);
    const allowed = this.#isAllowed(rule);
    const others = rules.filter((other) => other !== rule);
    const { notHeld, notHeldCount } = this.#rolesNotHeld(subject, request, roles);
    return {
      allowed,
      request,
      line: decisionLine({ set: this.#set, subject, request, rule, isAllowed: allowed, looked: rules.length }),
      deciding: rule === undefined ? undefined : noteOf(this.#set, rule, request, rule),
      others: others.map((other) => noteOf(this.#set, other, request, rule)),
      roles: [...roles].map(([name, origin]) => ({ name, origin, isKnown: this.#set.roles.has(name) })),
      notHeld,
      notHeldCount,
    };
  }

  /** The roles and rules of a client, and what holds beside them. */
  holdings(subject: Subject): Holdings {
    const { roles, rules } = this.#rightsOf(subject);
    return {
      roles: [...roles].map(([name, origin]) => ({ name, origin, isKnown: this.#set.roles.has(name) })),
      rules: rules.map((rule) => heldText(this.#set, rule)),
      otherwise: this.#default,
    };
  }

  /** Rules of roles that a client does not have and that would match if it had them. */
  #rolesNotHeld(
    subject: Subject,
    request: AccessRequest,
    held: ReadonlyMap<string, RoleOrigin>,
  ): { notHeld: RuleNote[]; notHeldCount: number } {
    const notHeld: RuleNote[] = [];
    const asked = levelsOf(topicOf(request));
    let notHeldCount = 0;
    for (const [role, rules] of this.#set.roles) {
      if (held.has(role)) continue;
      notHeldCount += rules.length;
      for (const rule of rules) {
        const active = this.#activeRule(rule, role, subject);
        if (decidingOf(inOrder([active], actionOf(request)), request, asked) === undefined) continue;
        notHeld.push({ ...noteOf(this.#set, active, request, undefined), because: 'its role is not held' });
      }
    }
    return { notHeld, notHeldCount };
  }

  #decidingOf(subject: Subject, request: AccessRequest): ActiveRule | undefined {
    const { publish, subscribe, levelsMax } = this.#rightsOf(subject);
    const asked = levelsOf(topicOf(request), levelsMax);
    return decidingOf(actionOf(request) === 'publish' ? publish : subscribe, request, asked);
  }

  #isAllowed(rule: ActiveRule | undefined): boolean {
    return (rule === undefined ? this.#default : rule.rule.effect) === 'allow';
  }

  #rightsOf(subject: Subject): Rights {
    let rights = this.#rights.get(subject);
    if (rights === undefined) {
      rights = this.#newRights(subject);
      this.#rights.set(subject, rights);
    }
    return rights;
  }

  #newRights(subject: Subject): Rights {
    const roles = rolesOf(this.#set, subject);
    const rules: ActiveRule[] = [];
    for (const role of roles.keys()) {
      for (const rule of this.#set.roles.get(role) ?? []) rules.push(this.#activeRule(rule, role, subject));
    }
    for (const grant of subject.grants ?? []) rules.push(grantRule(grant));
    return {
      roles,
      rules,
      publish: inOrder(rules, 'publish'),
      subscribe: inOrder(rules, 'subscribe'),
      levelsMax: rules.reduce((most, { levels }) => Math.max(most, levels.length), 0) + 1,
      decided: new DecisionCache(),
    };
  }

  #activeRule(rule: Rule, role: string, subject: Subject): ActiveRule {
    return this.#shared.get(rule) ?? activeRule(rule, role, subject);
  }
}

/** The rules about an action, denies before allows: the first that matches decides. */
function inOrder(rules: readonly ActiveRule[], action: 'publish' | 'subscribe'): ActiveRule[] {
  const about = rules.filter(({ rule }) => isAbout(rule, action));
  const denies = about.filter(({ rule }) => rule.effect === 'deny');
  return denies.concat(about.filter(({ rule }) => rule.effect === 'allow'));
}

/** The rule that decides, of rules in order about the action of the request. */
function decidingOf(
  rules: readonly ActiveRule[],
  request: AccessRequest,
  asked: readonly string[],
): ActiveRule | undefined {
  return request.action === 'publish'
    ? decidingPublish(rules, asked, request.retain, request.qos)
    : deciding(rules, asked);
}

function deciding(rules: readonly ActiveRule[], asked: readonly string[]): ActiveRule | undefined {
  return rules.find((active) => isFilterMet(active, asked));
}

function decidingPublish(
  rules: readonly ActiveRule[],
  asked: readonly string[],
  retain: boolean,
  qos: number,
): ActiveRule | undefined {
  return rules.find((active) => isAboutPublish(active.rule, retain, qos) && isFilterMet(active, asked));
}
