import type { FilterTemplate } from './filter-template.ts';

/** Says yes or no to one action on one topic filter. */
export interface Rule {
  readonly effect: 'allow' | 'deny';
  /** `all` is publish and subscribe. */
  readonly action: 'publish' | 'subscribe' | 'all';
  readonly topicFilter: FilterTemplate;
  /** The only RETAIN flag of a publish the rule is about; undefined for both. */
  readonly retain: boolean | undefined;
  /** Highest QoS of a publish the rule is about, 0 to 2. */
  readonly qosMax: number;
  /** Line of its topic filter in the file, from 1. */
  readonly line: number;
}

/** What a file of access rules says; keys are names of roles, users and client ids as they are written. */
export interface RuleSet {
  /** The file, as it is to be named to people. */
  readonly file: string;
  readonly roles: ReadonlyMap<string, readonly Rule[]>;
  /** Names of the roles of a user. */
  readonly users: ReadonlyMap<string, readonly string[]>;
  /** Names of the roles of a client id. */
  readonly clients: ReadonlyMap<string, readonly string[]>;
  /** Names of the roles of clients without a user name. */
  readonly anonymous: readonly string[];
  /** Names of the roles of every client. */
  readonly everyone: readonly string[];
}

/** Problems after which a file is read no further. */
export const PROBLEMS_MAX = 100;

/** A file of access rules that cannot be used. */
export class RulesError extends Error {
  /** A sentence each, with file and line. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'RulesError';
    this.problems = problems;
  }
}

/** A word of a file as it is to stand in a sentence: control characters escaped, long ones cut. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text).slice(1, -1);
}
