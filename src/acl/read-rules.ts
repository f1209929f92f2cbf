import { Worker } from 'node:worker_threads';
import { readProblem } from '../lib/error-text.ts';
import { readBoundedTextFile } from '../lib/text-file.ts';
import { parseMosquittoAcl } from './mosquitto-acl.ts';
import { RulesError, type RuleSet } from './rule-set.ts';
import { parseRules } from './rules-file.ts';

/** The largest number of rules there may be fits in it. */
const BYTES_MAX = 16 * 1024 * 1024;

/** Texts that are parsed sooner than a thread begins. */
const ASIDE_CHARACTERS = 32 * 1024;

/** A file of access rules as it was read. */
export interface RulesText {
  readonly file: string;
  readonly text: string;
}

/** What the thread of `parseRulesAside` answers. */
export type RulesReply = { readonly rules: RuleSet } | { readonly problems: readonly string[] };

/** Reads a file of access rules. @throws RulesError where it cannot be read. */
export function readRulesText(file: string): RulesText {
  try {
    return { file, text: readBoundedTextFile(file, BYTES_MAX) };
  } catch (error) {
    throw new RulesError([`Cannot read the access rules ${file}: ${readProblem(error)}.`]);
  }
}

/**
 * What a file of access rules says: YAML or JSON where its name ends in `.yaml`, `.yml` or `.json`, else Mosquitto's format.
 * @throws RulesError with every problem found, each with file and line.
 */
export function parseRulesText({ file, text }: RulesText): RuleSet {
  return /\.(ya?ml|json)$/i.test(file) ? parseRules(file, text) : parseMosquittoAcl(file, text);
}

/**
 * The same of a file that is read anew: a large one in another thread, as one with 20,000 users takes a second, in which the
 * broker would serve nobody.
 */
export async function parseRulesAside(source: RulesText): Promise<RuleSet> {
  if (source.text.length <= ASIDE_CHARACTERS) return parseRulesText(source);
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const thread = new Worker(new URL(`./rules-thread.${extension}`, import.meta.url), { workerData: source });
  return await new Promise((resolve, reject) => {
    thread.once('message', (reply: RulesReply) => {
      if ('rules' in reply) resolve(reply.rules);
      else reject(new RulesError(reply.problems));
    });
    thread.once('error', reject);
    thread.once('exit', () => reject(new Error(`The thread that reads ${source.file} ended by itself.`)));
  });
}
