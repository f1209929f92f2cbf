import { readFileSync } from 'node:fs';
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type YAMLError,
} from 'yaml';
import { show } from './fields.ts';
import { pathText, ScenarioError, type Problem } from './scenario-error.ts';

/** A scenario file as data, and where in the file each piece of it is. */
export interface Source {
  readonly data: unknown;
  /** Each with its place, in the order of the file: `file.yaml:12:5: fleet.trackers.count: must be ...`. */
  describe(problems: readonly Problem[]): string[];
}

/** Text of a file. @throws ScenarioError where it cannot be read. */
export function readText(path: string, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    throw new ScenarioError([`${name}: ${readProblem(error)}`]);
  }
}

/** Why a file cannot be read, without its path. */
export function readProblem(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code ?? '') {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'no permission to read it';
    case 'EISDIR':
      return 'it is a directory';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'it is not UTF-8 text';
    default:
      return (error as Error).message;
  }
}

/** Data that has no lines: of a TypeScript scenario. */
export function dataSource(file: string, data: unknown): Source {
  return { data, describe: (problems) => problems.map((problem) => sentence(file, problem)) };
}

/** YAML or JSON. @throws ScenarioError where it is neither, or empty. */
export function yamlSource(file: string, text: string): Source {
  const lines = new LineCounter();
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error', merge: true });
  } catch (error) {
    // Such as nesting deeper than the stack.
    throw new ScenarioError([`${file}: cannot be parsed: ${(error as Error).message}`]);
  }
  const faults = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
  // One slip of the pen makes the parser stumble over what follows as well.
  if (faults.length > 0)
    throw new ScenarioError(faults.slice(0, 3).map((fault) => `${place(fault.pos[0])}: ${faultSentence(fault)}`));
  const data = toData(file, document);
  if (data === null)
    throw new ScenarioError([`${file}: is empty; a scenario needs a fleet (sim init writes one to begin with)`]);
  if (!isMap(document.contents))
    throw new ScenarioError([`${file}:1:1: must be a mapping with fleet and more, not ${show(data)}`]);
  return {
    data,
    describe: (problems) => inOrder(document, problems).map(({ problem, offset }) => sentence(place(offset), problem)),
  };
}

function sentence(place: string, { path, text }: Problem): string {
  return path.length === 0 ? `${place}: ${text}` : `${place}: ${pathText(path)}: ${text}`;
}

function inOrder(document: Document.Parsed, problems: readonly Problem[]): { problem: Problem; offset: number }[] {
  return problems
    .map((problem) => ({ problem, offset: offsetOf(document, problem) }))
    .toSorted((a, b) => a.offset - b.offset);
}

function toData(file: string, document: Document.Parsed): unknown {
  try {
    // Maps of YAML with keys that are no text become text; aliases are counted, so that they cannot explode.
    return document.toJS();
  } catch (error) {
    throw new ScenarioError([`${file}: cannot be used: ${(error as Error).message}`]);
  }
}

/** What the parser says, as a sentence that fits ours. */
function faultSentence(fault: YAMLError): string {
  if (fault.code === 'DUPLICATE_KEY') return 'the same key twice';
  const [first = ''] = fault.message.split('\n', 1);
  return `not valid YAML: ${first.replace(/\.$/, '')}`;
}

/** Where the value at a path begins, or its key; what is not there is looked for where it ought to be. */
function offsetOf(document: Document.Parsed, { path, isKey }: Problem): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [at, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) node = node.items[Number(step)];
    else if (isMap(node)) {
      const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
      if (pair === undefined) return offset;
      const isLast = at === path.length - 1;
      node = pair.value;
      const keyOffset = startOf(pair.key) ?? offset;
      // Of nothing, and of mappings below their key, the key is the better place.
      offset =
        (isLast && isKey !== true && isScalar(node) && node.value !== null ? startOf(node) : undefined) ?? keyOffset;
      continue;
    } else return offset;
    offset = startOf(node) ?? offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
