import { readProblem } from '../lib/error-text.ts';
import { readBoundedTextFile } from '../lib/text-file.ts';
import { parseMosquittoAcl } from './mosquitto-acl.ts';
import { RulesError, type RuleSet } from './rule-set.ts';
import { parseRules } from './rules-file.ts';

/** The largest number of rules there may be fits in it. */
const BYTES_MAX = 16 * 1024 * 1024;

/**
 * Reads a file of access rules: YAML or JSON where its name ends in `.yaml`, `.yml` or `.json`, else Mosquitto's format.
 * @throws RulesError with every problem found, each with file and line.
 */
export function readRules(file: string): RuleSet {
  let text: string;
  try {
    text = readBoundedTextFile(file, BYTES_MAX);
  } catch (error) {
    throw new RulesError([`Cannot read the access rules ${file}: ${readProblem(error)}.`]);
  }
  return /\.(ya?ml|json)$/i.test(file) ? parseRules(file, text) : parseMosquittoAcl(file, text);
}
