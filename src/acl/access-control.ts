import { createHash } from 'node:crypto';
import type { AuthorizeRequest, ClientInfo, Refusal } from '../hooks/hooks.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import { AccessRules } from './access-rules.ts';
import type { AccessRequest } from './active-rules.ts';
import type { Explanation, Holdings } from './explain.ts';
import type { Subject } from './filter-template.ts';
import { parseRulesAside, parseRulesText, readRulesText } from './read-rules.ts';
import type { RuleSet } from './rule-set.ts';

/** How access is controlled. */
export interface AccessControlOptions {
  /** File of the rules, see `parseRulesText`; empty for none. */
  readonly file: string;
  /** What holds where no rule matches. */
  readonly otherwise: 'allow' | 'deny';
  /** Whether clients are told which rule refuses them; the log always is. */
  readonly explainsToClients: boolean;
}

const NO_RULES: RuleSet = {
  file: 'no file of access rules',
  roles: new Map(),
  users: new Map(),
  clients: new Map(),
  anonymous: [],
  everyone: [],
};

/** The access rules in force, which may be read anew while clients are connected. */
export class AccessControl {
  readonly #options: AccessControlOptions;
  #rules: AccessRules;
  /** SHA-256 of the text that they are from. */
  #hash = '';

  /** Reads the file. @throws RulesError with every problem found, each with file and line. */
  constructor(options: AccessControlOptions) {
    this.#options = options;
    const { file, otherwise } = options;
    if (file === '') this.#rules = new AccessRules(NO_RULES, otherwise);
    else {
      const source = readRulesText(file);
      this.#hash = hashOf(source.text);
      this.#rules = new AccessRules(parseRulesText(source), otherwise);
    }
  }

  /** Why a client may not do something; undefined where it may. */
  refusalOf(client: ClientInfo, request: AuthorizeRequest): Refusal | undefined {
    if (this.#allows(client, request)) return undefined;
    const explanation = this.#rules.reason(client, requestOf(request));
    const { explainsToClients } = this.#options;
    return {
      reasonCode: ReasonCode.notAuthorized,
      explanation,
      ...(explainsToClients && { reasonString: explanation }),
    };
  }

  /** Why something is allowed or not, with every rule. */
  explain(subject: Subject, request: AccessRequest): Explanation {
    return this.#rules.explain(subject, request);
  }

  /** What a client has. */
  holdings(subject: Subject): Holdings {
    return this.#rules.holdings(subject);
  }

  /** Whether a message to this topic name may go to a client that has a subscription for it. */
  mayReceive(client: ClientInfo, topicName: string): boolean {
    return this.#rules.mayReceive(client, topicName);
  }

  /**
   * Reads the file anew, while the broker goes on; where that cannot be used the rules stay as they are. Not to be called
   * while it runs. @throws RulesError as the constructor.
   */
  async reload(): Promise<void> {
    const { file, otherwise } = this.#options;
    if (file === '') return;
    const source = readRulesText(file);
    const hash = hashOf(source.text);
    // Often it is another file that has changed.
    if (hash === this.#hash) return;
    this.#rules = new AccessRules(await parseRulesAside(source), otherwise);
    this.#hash = hash;
  }

  #allows(client: ClientInfo, { action, topic, retain, qos }: AuthorizeRequest): boolean {
    if (action === 'subscribe') return this.#rules.maySubscribe(client, topic);
    return this.#rules.mayPublish(client, topic, { retain, qos });
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** A will is a publish that comes later. */
function requestOf({ action, topic, retain, qos }: AuthorizeRequest): AccessRequest {
  if (action === 'subscribe') return { action, topicFilter: topic };
  return { action: 'publish', topicName: topic, retain, qos };
}
