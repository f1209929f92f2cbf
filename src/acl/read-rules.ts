import { readProblem } from '../lib/error-text.ts';
import { readTextFile } from '../lib/text-file.ts';
import { parseMosquittoAcl } from './mosquitto-acl.ts';
import { RulesError, type RuleSet } from './rule-set.ts';
import { parseRules } from './rules-file.ts';

/**
 * Reads a file of access rules: YAML or JSON where its name ends in `.yaml`, `.yml` or `.json`, else Mosquitto's format.
 * @throws RulesError with every problem found, each with file and line.
 */
export function readRules(file: string): RuleSet {
  let text: string;
  try {
    text = readTextFile(file);
  } catch (error) {
    throw new RulesError([`Cannot read the access rules ${file}: ${readProblem(error)}.`]);
  }
  return /\.(ya?ml|json)$/i.test(file) ? parseRules(file, text) : parseMosquittoAcl(file, text);
}
