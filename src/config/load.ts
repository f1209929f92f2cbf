import type { YAMLMap } from 'yaml';
import { buildConfig, ConfigError, type Config } from '../config.ts';
import { readProblem } from '../lib/error-text.ts';
import { nearest } from '../lib/nearest.ts';
import { readTextFile } from '../lib/text-file.ts';
import { nodeKind, parseYaml, rootKind, type YamlSource } from '../lib/yaml-source.ts';
import { isRedisUrl } from '../store/redis/redis-address.ts';
import { checkTogether, exposedListeners, exposureSentence } from './check.ts';
import type { OptionKey } from './option.ts';
import { optionKeys, options } from './options.ts';
import { checkText, checkValue, type CheckedValue } from './values.ts';

/** One option set on the command line. */
export interface FlagSetting {
  /** Option key as written; need not exist. */
  readonly key: string;
  readonly text: string;
  /** The flag, for error sentences: `--port`, `--set`. */
  readonly flag: string;
}

/** Where a configuration comes from, the first of them the weakest. */
export interface ConfigSources {
  /** Path of a YAML or JSON file. */
  readonly file?: string | undefined;
  /** Variables named TRELLIS_SECTION__KEY; others are ignored. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly FlagSetting[];
}

/** A configuration that may be used. */
export interface LoadedConfig {
  readonly config: Config;
  /** Where each option that was set comes from: `broker.yaml:3`, `TRELLIS_LOG__LEVEL`, `--port`. */
  readonly origins: ReadonlyMap<string, string>;
}

/** What can be written before the last dot of a key: `listeners`, `listeners.tcp`, ... */
const sections: ReadonlySet<string> = new Set(
  optionKeys.flatMap((key) => {
    const path = key.split('.');
    return path.slice(1).map((_, index) => path.slice(0, index + 1).join('.'));
  }),
);
const topSections: readonly string[] = [...sections].filter((section) => !section.includes('.'));

/**
 * Reads and checks a configuration: flags over environment over file over defaults.
 * @throws ConfigError with every problem found, each with its place.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const loading = new Loading();
  if (sources.file !== undefined) loading.readFile(sources.file);
  loading.readEnvironment(sources.environment ?? {});
  for (const setting of sources.flags ?? []) loading.readFlag(setting);
  return loading.finish();
}

/** The variable that sets an option. */
export function environmentName(key: string): string {
  return `TRELLIS_${key.toUpperCase().replaceAll('.', '__')}`;
}

class Loading {
  readonly #values = new Map<string, unknown>();
  readonly #origins = new Map<string, string>();
  readonly #problems: string[] = [];

  readFile(file: string): void {
    const text = this.#readText(file);
    if (text === undefined) return;
    const source = parseYaml(file, text, { schema: 'core', uniqueKeys: true });
    if (!('document' in source)) {
      this.#problems.push(...source);
      return;
    }
    const { isMap, isScalar } = source.yaml;
    const root: unknown = source.document.contents;
    if (root === null || (isScalar(root) && root.value === null)) return;
    if (isMap(root)) this.#readSection(file, source, root, '');
    else this.#problems.push(`${file}:1: must be sections such as "listeners:", not ${rootKind(source.yaml, root)}.`);
  }

  #readText(file: string): string | undefined {
    try {
      return readTextFile(file);
    } catch (error) {
      this.#problems.push(`Cannot read the configuration file ${file}: ${readProblem(error)}.`);
      return undefined;
    }
  }

  /** Depth is that of the table: an unknown key is not descended into. */
  #readSection(file: string, source: YamlSource, section: YAMLMap, prefix: string): void {
    const { yaml, lineOf, resolved } = source;
    const { isAlias, isMap, isScalar } = yaml;
    for (const { key: keyNode, value: valueNode } of section.items) {
      const name = isScalar(keyNode) ? String(keyNode.value) : '?';
      const at = `${file}:${lineOf((isScalar(keyNode) ? keyNode : section).range?.[0] ?? 0)}`;
      const key = `${prefix}${name}`;
      const value = resolved(valueNode);
      if (isAlias(valueNode) && value === undefined) {
        this.#problems.push(`${at}: ${key} refers to *${valueNode.source}, which is not defined before.`);
      } else if (isOption(key)) {
        this.#set(key, checkValue(options[key], nodeValue(yaml, value)), nodeValue(yaml, value), at, `${at}: ${key}`);
      } else if (sections.has(key)) {
        if (isMap(value)) this.#readSection(file, source, value, `${key}.`);
        // A section whose lines are all commented out is empty.
        else if (nodeValue(yaml, value) !== null) {
          this.#problems.push(`${at}: ${key} is a section with options below it, not ${nodeKind(yaml, value)}.`);
        }
      } else this.#problems.push(`${at}: ${unknownKey(key)}`);
    }
  }

  readEnvironment(environment: Readonly<Record<string, string | undefined>>): void {
    const byName = new Map<string, OptionKey>(optionKeys.map((key) => [key.toLowerCase(), key]));
    const setBy = new Map<OptionKey, string>();
    for (const [variable, text] of Object.entries(environment)) {
      if (text === undefined || !variable.startsWith('TRELLIS_') || !variable.slice(8).includes('__')) continue;
      const words = variable.slice(8).toLowerCase().split('__');
      const key = byName.get(words.map((word) => word.replaceAll('_', '')).join('.'));
      if (key === undefined) {
        const near = nearest(variable, optionKeys.map(environmentName));
        this.#problems.push(
          `${variable} sets no option there is${near === undefined ? '.' : `; did you mean ${near}?`}`,
        );
        continue;
      }
      const other = setBy.get(key);
      if (other !== undefined) this.#problems.push(`${variable} and ${other} both set ${key}; keep one of them.`);
      setBy.set(key, variable);
      this.#set(key, checkText(options[key], text), text, variable, `${variable}: ${key}`);
    }
  }

  readFlag({ key, text, flag }: FlagSetting): void {
    if (isOption(key)) this.#set(key, checkText(options[key], text), text, flag, `${flag}: ${key}`);
    else if (sections.has(key)) this.#problems.push(`${flag}: ${key} is a section; set one of its options.`);
    else this.#problems.push(`${flag}: ${unknownKey(key)}`);
  }

  #set(key: OptionKey, checked: CheckedValue, raw: unknown, origin: string, subject: string): void {
    if (checked.ok) {
      this.#values.set(key, checked.value);
      this.#origins.set(key, origin);
    } else if (key === 'store.type' && typeof raw === 'string' && isRedisUrl(raw)) {
      this.#problems.push(`${subject} must be redis alone; the URL is the value of redis.url.`);
    } else {
      this.#problems.push(`${subject} must be ${checked.expected}, not ${checked.found}.`);
    }
  }

  finish(): LoadedConfig {
    if (this.#problems.length === 0) this.#finishTogether();
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
    return { config: buildConfig(this.#values), origins: this.#origins };
  }

  #finishTogether(): void {
    for (const { key, text } of checkTogether(this.#values)) this.#problems.push(this.#placed(key, text));
    // One sentence is enough, even if several listeners are exposed: the remedy is the same.
    const [exposed] = exposedListeners(buildConfig(this.#values));
    if (exposed !== undefined) this.#problems.push(this.#placed(exposed.key, exposureSentence(exposed)));
  }

  #placed(key: OptionKey, text: string): string {
    const origin = this.#origins.get(key);
    return origin === undefined ? text : `${origin}: ${text}`;
  }
}

function isOption(key: string): key is OptionKey {
  return Object.hasOwn(options, key);
}

function unknownKey(key: string): string {
  // The right name in the wrong section is likelier than a similar one.
  const last = key.slice(key.lastIndexOf('.') + 1).toLowerCase();
  const near =
    optionKeys.find((known) => known.toLowerCase().endsWith(`.${last}`)) ?? nearest(key, [...sections, ...optionKeys]);
  if (near !== undefined) return `there is no option ${key}; did you mean ${near}?`;
  return `there is no option ${key}; the sections are ${topSections.join(', ')}.`;
}

function nodeValue({ isScalar, isSeq }: YamlSource['yaml'], node: unknown): unknown {
  if (node === null || node === undefined) return null;
  if (isScalar(node)) return node.value;
  if (isSeq(node)) return node.items.map((item) => (isScalar(item) ? item.value : {}));
  return {};
}
