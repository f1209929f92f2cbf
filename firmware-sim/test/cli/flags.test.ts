import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/cli/errors.ts';
import { type Flag, helpText, numberOf, parseFlags, quoted } from '../../src/cli/flags.ts';

const flags: readonly Flag[] = [
  { names: ['-p', '--port'], value: 'PORT', group: 'Network', help: 'Where it listens.' },
  { names: ['--quiet'], group: 'Output', help: 'Says nothing.' },
  { names: ['--name'], value: 'NAME', group: 'Network', help: 'What it is called.' },
];

const parse = (
  args: readonly string[],
  words: readonly string[] = ['FILE', '[OTHER]'],
): ReturnType<typeof parseFlags> => parseFlags({ command: 'sim try', flags, words }, args);

describe('parseFlags', () => {
  test('reads flags and words in any order, by each name, with a space or an equals sign', () => {
    const { values, words } = parse(['a', '--port=1', '--quiet', '--name', 'x', 'b']);
    expect([...values]).toEqual([
      ['-p', '1'],
      ['--quiet', ''],
      ['--name', 'x'],
    ]);
    expect(words).toEqual(['a', 'b']);
  });

  test('takes everything behind the first equals sign as the value', () => {
    expect(parse(['a', '--name=x=--port']).values.get('--name')).toBe('x=--port');
    expect(parse(['a', '--name=']).values.get('--name')).toBe('');
  });

  test('takes a value that begins with a hyphen, unless it is one of the flags', () => {
    expect(parse(['a', '--name', '-x']).values.get('--name')).toBe('-x');
    expect(parse(['a', '--name', '--x']).values.get('--name')).toBe('--x');
    expect(() => parse(['a', '--name', '--quiet'])).toThrow('--name needs NAME; see trellis sim try --help.');
    expect(parse(['a', '--name=--quiet']).values.get('--name')).toBe('--quiet');
  });

  test('a hyphen alone is a word', () => {
    expect(parse(['-']).words).toEqual(['-']);
  });

  test('the last words may be missing where they are in brackets', () => {
    expect(parse(['a']).words).toEqual(['a']);
    expect(() => parse([])).toThrow('trellis sim try needs FILE; see trellis sim try --help.');
  });

  test('names of the object prototype are no flags', () => {
    for (const name of ['--constructor', '--__proto__', '--toString']) {
      expect(() => parse(['a', name])).toThrow(`trellis sim try has no flag ${name}; see trellis sim try --help.`);
    }
  });

  test('what is wrong is a UsageError', () => {
    for (const args of [[], ['a', '-x'], ['a', '--quiet=1'], ['a', '-p', '1', '--port', '2'], ['a', 'b', 'c']]) {
      expect(() => parse(args)).toThrow(UsageError);
    }
  });
});

describe('numberOf', () => {
  const read = (text: string, isInteger = true): number | undefined =>
    numberOf(parse(['a', '-p', text]), '-p', { min: 1, max: 1000, isInteger });

  test('is undefined for a flag that was not given', () => {
    expect(numberOf(parse(['a']), '-p', { min: 1, max: 2 })).toBeUndefined();
  });

  test('reads plain decimal numbers up to both limits', () => {
    expect([read('1'), read('1000'), read('007'), read('1.5', false), read('2.0')]).toEqual([1, 1000, 7, 1.5, 2]);
  });

  test.each(['', ' ', '0', '1001', '-1', '+1', '1.5', '1e2', '0x10', '1_0', 'NaN', 'Infinity', ' 1', '1 ', '٣', '1.'])(
    'takes %j for no integer from 1 to 1000',
    (text) => {
      expect(() => read(text)).toThrow(`-p must be an integer from 1 to 1000, not "${text}".`);
    },
  );

  test('says that fractions are allowed where they are', () => {
    expect(() => read('0.5', false)).toThrow('-p must be a number from 1 to 1000, not "0.5".');
  });
});

describe('quoted', () => {
  test('shows control characters as escapes, and not more than 100 characters', () => {
    expect(quoted('\u001b[31m\n"')).toBe('\\u001b[31m\\n\\"');
    expect(quoted('x'.repeat(101))).toBe('x'.repeat(100));
  });
});

describe('helpText', () => {
  const long: Flag = {
    names: ['--a-flag-with-a-long-name'],
    value: 'VALUE',
    group: 'Network',
    help: 'word '.repeat(40).trim(),
  };

  test('puts flags under their groups, in the order of the groups first met', () => {
    expect(helpText('\nUsage: x\n', flags, 'The end.')).toBe(
      [
        'Usage: x',
        '',
        'Network:',
        '  -p, --port PORT               Where it listens.',
        '  --name NAME                   What it is called.',
        '',
        'Output:',
        '  --quiet                       Says nothing.',
        '',
        'The end.',
        '',
      ].join('\n'),
    );
  });

  test('wraps what a flag is for, and keeps all of it', () => {
    const lines = helpText('x', [long], '').split('\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(112);
    expect(lines.slice(3).join(' ').match(/word/g)).toHaveLength(40);
    expect(lines.slice(4, 6).every((line) => line.startsWith(`${' '.repeat(32)}word`))).toBe(true);
  });

  test('ends with one line end when nothing follows the flags', () => {
    expect(helpText('x', flags, '')).toMatch(/nothing\.\n$/);
  });
});
