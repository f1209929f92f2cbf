import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What each folder of a tree of sources may import besides itself; files directly in the tree may import everything. */
const TREES: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> = new Map([
  [
    'src',
    new Map([
      ['lib', []],
      ['protocol', ['lib']],
      ['transport', ['lib']],
      ['router', ['lib', 'protocol']],
      ['store', ['lib', 'protocol']],
      ['hooks', ['lib', 'protocol']],
      ['auth', ['lib', 'protocol', 'hooks']],
      ['acl', ['lib', 'protocol', 'hooks']],
      ['limits', ['lib', 'protocol']],
      ['admin', ['lib', 'protocol']],
      ['session', ['lib', 'protocol', 'router', 'store']],
      ['cluster', ['lib', 'protocol', 'router', 'session', 'store']],
      ['connection', ['lib', 'protocol', 'transport', 'hooks', 'auth', 'limits', 'session', 'store']],
      ['config', ['lib', 'connection', 'session', 'store', '']],
      ['cli', ['lib', 'protocol', 'config', 'store', 'hooks', 'auth', 'acl', 'limits', '']],
    ]),
  ],
  [
    // The simulator is an independent witness: it shares nothing with the broker.
    'firmware-sim/src',
    new Map([
      ['lib', []],
      ['wire', ['lib']],
      ['client', ['lib', 'wire']],
      ['checker', ['lib', 'client']],
      ['agent', ['lib', 'wire', 'client', 'checker']],
      ['scenario', ['lib', 'client', 'wire', 'checker']],
      ['devices', ['lib', 'client', 'checker', 'agent', 'scenario']],
      ['report', ['lib', 'checker', 'agent', 'scenario']],
      ['run', ['lib', 'wire', 'client', 'checker', 'agent', 'scenario', 'devices', 'report']],
      ['bench', ['lib', 'wire', 'client', 'checker', 'scenario', 'report', 'run']],
      ['cli', ['lib', 'wire', 'checker', 'scenario', 'report', 'run', 'bench']],
    ]),
  ],
]);

/** The one place where the trees meet: the broker's command line hands `sim` and `bench` over. */
const BRIDGE = ['src/cli/run.ts', 'firmware-sim/src/cli/run-cli.ts'] as const;

/** Lines a source file may have; it aims at 400. */
const LINES_MAX = 520;

interface SourceFile {
  /** Relative to the repository. */
  path: string;
  folder: string;
  text: string;
}

function filesBelow(tree: string): SourceFile[] {
  return readdirSync(join(root, tree), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = relative(root, join(entry.parentPath, entry.name));
      return { path, folder: folderOf(tree, path), text: readFileSync(join(root, path), 'utf8') };
    });
}

/** The folder of a tree that a file is in; empty directly below it. */
function folderOf(tree: string, path: string): string {
  const parts = relative(tree, path).split('/');
  return parts.length === 1 ? '' : (parts[0] as string);
}

function importsOf(file: SourceFile): { specifier: string; typeOnly: boolean }[] {
  const found = file.text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';|import\('([^']+)'\)/gm);
  return [...found].map((match) => ({ specifier: (match[2] ?? match[3]) as string, typeOnly: match[1] !== undefined }));
}

const sources = new Map([...TREES.keys()].map((tree) => [tree, filesBelow(tree)]));
const files = [...sources.values()].flat();
const tests = [...filesBelow('test'), ...filesBelow('firmware-sim/test')];

describe('the house is tidy', () => {
  test('there are sources to look at', () => {
    for (const found of sources.values()) expect(found.length).toBeGreaterThan(60);
    expect(files.flatMap(importsOf).length).toBeGreaterThan(200);
    expect(tests.length).toBeGreaterThan(40);
  });

  test.each([...TREES])('every folder of %s imports only what it may', (tree, table) => {
    const wrong: string[] = [];
    for (const file of sources.get(tree) ?? []) {
      const allowed = table.get(file.folder);
      if (file.folder !== '' && allowed === undefined)
        wrong.push(`${file.path}: folder ${file.folder} is not in the table`);
      for (const { specifier } of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        const target = join(dirname(file.path), specifier);
        const folder = folderOf(tree, target);
        const isInside = target.startsWith(`${tree}/`);
        const isBridge = file.path === BRIDGE[0] && target === BRIDGE[1];
        const isAllowed = file.folder === '' || folder === file.folder || allowed?.includes(folder) === true;
        if (!isBridge && !(isInside && isAllowed)) wrong.push(`${file.path} imports ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('connections know transports by their type only', () => {
    const wrong = (sources.get('src') ?? [])
      .filter(({ folder }) => folder === 'connection')
      .flatMap((file) =>
        importsOf(file).filter(({ specifier, typeOnly }) => specifier.includes('/transport/') && !typeOnly),
      );
    expect(wrong).toEqual([]);
  });

  test('imports name files with their ending, and files are kebab-case nouns', () => {
    const wrong = [...files, ...tests].flatMap((file) => {
      const problems = importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('.') && !specifier.endsWith('.ts'))
        .map(({ specifier }) => `${file.path} imports ${specifier}`);
      const name = file.path.slice(file.path.lastIndexOf('/') + 1);
      if (!/^[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(name) || /^(utils?|helpers?|common|types)\.ts$/.test(name))
        problems.push(file.path);
      return problems;
    });
    expect(wrong).toEqual([]);
  });

  test(`no source file has more than ${LINES_MAX} lines`, () => {
    const long = files.filter(({ text }) => text.split('\n').length > LINES_MAX).map(({ path }) => path);
    expect(long).toEqual([]);
  });

  test('no test is left out without a reason', () => {
    const wrong = tests
      .filter(({ path }) => !path.endsWith('tidy.test.ts'))
      .filter(({ text }) => /\b(test|it|describe)\.(only|todo|skip)\(/.test(text))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });

  test('every statement id cited in the sources is one of the standards', () => {
    const read = (name: string): string[] => readFileSync(join(root, 'test/conformance', name), 'utf8').split('\n');
    const v5 = new Set(read('statements-5.0.txt'));
    const v3 = new Set(read('statements-3.1.1.txt'));
    const unknown: string[] = [];
    for (const file of files) {
      for (const [, old, id] of file.text.matchAll(/\[(v3 )?(MQTT-[0-9.]+-[0-9]+)\]/g)) {
        if (!(old === undefined ? v5 : v3).has(id as string)) unknown.push(`${file.path}: ${old ?? ''}${id}`);
      }
    }
    expect(unknown).toEqual([]);
  });
});
