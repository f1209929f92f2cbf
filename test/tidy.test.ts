import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'src');

/** What each folder of src may import besides itself; files directly in src may import everything. */
const ALLOWED: ReadonlyMap<string, readonly string[]> = new Map([
  ['lib', []],
  ['protocol', ['lib']],
  ['transport', ['lib']],
  ['router', ['lib', 'protocol']],
  ['store', ['lib', 'protocol']],
  ['hooks', ['lib', 'protocol']],
  ['admin', ['lib', 'protocol']],
  ['session', ['lib', 'protocol', 'router', 'store']],
  ['cluster', ['lib', 'protocol', 'router', 'store']],
  ['connection', ['lib', 'protocol', 'transport', 'hooks', 'session', 'store']],
  ['config', ['lib', 'connection', 'session', 'store']],
  ['cli', ['lib', 'protocol', 'config', 'store']],
]);

/** Lines a source file may have; it aims at 400. */
const LINES_MAX = 520;

interface SourceFile {
  path: string;
  folder: string;
  text: string;
}

function filesBelow(directory: string): SourceFile[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const parts = relative(source, path).split('/');
      return { path, folder: parts.length === 1 ? '' : (parts[0] as string), text: readFileSync(path, 'utf8') };
    });
}

function importsOf(file: SourceFile): { specifier: string; typeOnly: boolean }[] {
  const found = file.text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';|import\('([^']+)'\)/gm);
  return [...found].map((match) => ({ specifier: (match[2] ?? match[3]) as string, typeOnly: match[1] !== undefined }));
}

const files = filesBelow(source);
const tests = filesBelow(join(root, 'test'));

describe('the house is tidy', () => {
  test('there are sources to look at', () => {
    expect(files.length).toBeGreaterThan(60);
    expect(files.flatMap(importsOf).length).toBeGreaterThan(200);
    expect(tests.length).toBeGreaterThan(40);
  });

  test('every folder imports only what it may', () => {
    const wrong: string[] = [];
    for (const file of files) {
      if (file.folder === '') continue;
      const allowed = ALLOWED.get(file.folder);
      if (allowed === undefined) wrong.push(`${relative(root, file.path)}: folder ${file.folder} is not in the table`);
      for (const { specifier } of importsOf(file)) {
        if (!specifier.startsWith('.')) continue;
        const target = relative(source, resolve(dirname(file.path), specifier)).split('/');
        const folder = target.length === 1 ? '' : (target[0] as string);
        const composition = folder === '' && (file.folder === 'cli' || file.folder === 'config');
        if (folder !== file.folder && !composition && allowed?.includes(folder) !== true) {
          wrong.push(`${relative(root, file.path)} imports ${specifier}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test('connections know transports by their type only', () => {
    const wrong = files
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
        .map(({ specifier }) => `${relative(root, file.path)} imports ${specifier}`);
      const name = file.path.slice(file.path.lastIndexOf('/') + 1);
      if (!/^[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(name) || /^(utils?|helpers?|common|types)\.ts$/.test(name))
        problems.push(file.path);
      return problems;
    });
    expect(wrong).toEqual([]);
  });

  test(`no source file has more than ${LINES_MAX} lines`, () => {
    const long = files
      .filter(({ text }) => text.split('\n').length > LINES_MAX)
      .map(({ path }) => relative(root, path));
    expect(long).toEqual([]);
  });

  test('no test is left out without a reason', () => {
    const wrong = tests
      .filter(({ path }) => !path.endsWith('tidy.test.ts'))
      .filter(({ text }) => /\b(test|it|describe)\.(only|todo|skip)\(/.test(text))
      .map(({ path }) => relative(root, path));
    expect(wrong).toEqual([]);
  });

  test('every statement id cited in the sources is one of the standards', () => {
    const read = (name: string): string[] => readFileSync(join(root, 'test/conformance', name), 'utf8').split('\n');
    const v5 = new Set(read('statements-5.0.txt'));
    const v3 = new Set(read('statements-3.1.1.txt'));
    const unknown: string[] = [];
    for (const file of files) {
      for (const [, old, id] of file.text.matchAll(/\[(v3 )?(MQTT-[0-9.]+-[0-9]+)\]/g)) {
        if (!(old === undefined ? v5 : v3).has(id as string))
          unknown.push(`${relative(root, file.path)}: ${old ?? ''}${id}`);
      }
    }
    expect(unknown).toEqual([]);
  });
});
