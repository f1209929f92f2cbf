import { createRequire } from 'node:module';
import type { Document, YAMLError } from 'yaml';
import { maskUrl } from './mask-url.ts';

type Yaml = typeof import('yaml');

/** The YAML parser, loaded when there is a file to read: without one a broker starts a tenth sooner. */
function loadYaml(): Yaml {
  return createRequire(import.meta.url)('yaml') as Yaml;
}

/** A YAML (or JSON) file that was parsed. */
export interface YamlSource {
  readonly yaml: Yaml;
  readonly document: Document.Parsed;
  /** Line of an offset, from 1. */
  readonly lineOf: (offset: number) => number;
  /** What an alias stands for, undefined for nothing; any other node is itself. */
  readonly resolved: (node: unknown) => unknown;
}

/**
 * Parses a YAML or JSON file.
 * @param file its name for sentences.
 * @param options `core` reads numbers and booleans, `failsafe` leaves every scalar the text it is. Without `uniqueKeys`,
 *   whose cost grows with the square of a mapping, the caller looks for keys that are there twice.
 * @returns what is in it, or up to three sentences that say where it is not YAML.
 */
export function parseYaml(
  file: string,
  text: string,
  options: { schema: 'core' | 'failsafe'; uniqueKeys: boolean },
): YamlSource | readonly string[] {
  const yaml = loadYaml();
  const lines = new yaml.LineCounter();
  let document: Document.Parsed;
  try {
    document = yaml.parseDocument(text, { ...options, lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  } catch (error) {
    // Such as nesting deeper than the stack.
    return [`${file}: cannot be parsed: ${(error as Error).message}.`];
  }
  const faults = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  if (faults.length === 0) {
    return { yaml, document, lineOf: (offset) => lines.linePos(offset).line, resolved: resolverOf(yaml, document) };
  }
  // One mistake in the syntax makes the parser complain of what follows as well.
  return faults.slice(0, 3).map((fault) => {
    const { line, col } = lines.linePos(fault.pos[0]);
    return `${file}:${line}:${col}: not valid YAML: ${faultSentence(fault)}.`;
  });
}

/** Looks at the whole document once. The parser's own `resolve` does so for each alias: minutes for some thousands of them. */
function resolverOf(yaml: Yaml, document: Document.Parsed): YamlSource['resolved'] {
  let targets: Map<unknown, unknown> | undefined;
  return (node) => {
    if (!yaml.isAlias(node)) return node;
    targets ??= targetsOf(yaml, document);
    return targets.get(node);
  };
}

/** What aliases stand for: the last node before each with its anchor. */
function targetsOf(yaml: Yaml, document: Document.Parsed): Map<unknown, unknown> {
  const anchors = new Map<string, unknown>();
  const targets = new Map<unknown, unknown>();
  yaml.visit(document, {
    Node: (_key, node) => {
      if (yaml.isAlias(node)) targets.set(node, anchors.get(node.source));
      else if ('anchor' in node && typeof node.anchor === 'string') anchors.set(node.anchor, node);
    },
  });
  return targets;
}

/** What a node is, to complete a sentence. */
export function nodeKind({ isScalar, isSeq }: Yaml, node: unknown): string {
  if (isSeq(node)) return 'a list';
  if (!isScalar(node)) return 'a section';
  return JSON.stringify(typeof node.value === 'string' ? maskUrl(node.value) : node.value);
}

/** What the whole of a file is, as `nodeKind`, but nothing of a text: it may be a file of another kind, with secrets in it. */
export function rootKind(yaml: Yaml, root: unknown): string {
  return yaml.isScalar(root) && typeof root.value === 'string' ? 'a text' : nodeKind(yaml, root);
}

/** What the YAML parser says, as the rest of a sentence. */
function faultSentence(fault: YAMLError): string {
  if (fault.code === 'DUPLICATE_KEY') return 'the same key twice';
  return fault.message.split('\n', 1)[0]!.replace(/\.$/, '');
}
