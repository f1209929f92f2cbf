import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BANS_MAX, type Ban, formatBans, parseBans } from '../../src/limits/ban-lines.ts';
import { BanFileError, BanList } from '../../src/limits/ban-list.ts';
import { LimitCounters } from '../../src/limits/limit-counters.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const NEVER = Number.POSITIVE_INFINITY;

let directory = '';
let file = '';
let clock: FakeClock;
let counters: LimitCounters;
let list: BanList;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'trellis-bans-'));
  file = join(directory, 'bans');
  clock = new FakeClock(Date.UTC(2026, 0, 1));
  counters = new LimitCounters();
  list = new BanList(clock, counters);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('a file of bans', () => {
  test('says whom, until when and why', () => {
    const text = `# those of March
address 10.0.0.0/8 until 2026-12-01T00:00:00Z # why

client "sensor 7 # \\"x\\""
user mallory # left
user __proto__ until 2026-12-01T00:00+01:00
`;
    const { lines, problems } = parseBans(text, 'bans');
    expect(problems).toEqual([]);
    expect(lines).toEqual([
      '# those of March',
      { kind: 'address', value: '10.0.0.0/8', until: Date.UTC(2026, 11, 1), reason: 'why' },
      '',
      { kind: 'client', value: 'sensor 7 # "x"', until: NEVER, reason: '' },
      { kind: 'user', value: 'mallory', until: NEVER, reason: 'left' },
      { kind: 'user', value: '__proto__', until: Date.UTC(2026, 10, 30, 23), reason: '' },
    ]);
  });

  test.each([
    ['adress 10.0.0.0/8', 'a line must begin with address, client or user'],
    ['"address" 10.0.0.300', '"10.0.0.300" is no address'],
    ['address 10.0.0.1/8', '"10.0.0.1/8" is no address and no range'],
    ['address', 'who is banned must follow address'],
    ['client ""', 'who is banned must follow client'],
    ['client "a', 'who is banned must follow client'],
    ['client "a\\x"', 'who is banned must follow client'],
    ['client "a"b', 'who is banned must follow client'],
    ['client #a', 'who is banned must follow client'],
    ['user a b', 'only "until TIME" and "# reason" may follow'],
    ['user a until', 'a time such as 2026-12-01T00:00:00Z must follow until, not ""'],
    ['user a until tomorrow', 'not "tomorrow"'],
    ['user a until 2026-12-01', 'not "2026-12-01"'],
    ['user a until 2026-12-01T00:00:00', 'not "2026-12-01T00:00:00"'],
    ['user a until 2026-02-30T00:00:00Z', 'not "2026-02-30T00:00:00Z"'],
    ['user a until 2026-13-01T00:00:00Z', 'not "2026-13-01T00:00:00Z"'],
    ['user a until 2026-12-01T25:00:00Z', 'not "2026-12-01T25:00:00Z"'],
    ['user a until 2026-12-01T00:00:00Z x', 'a reason must begin with #'],
    ['user ok', 'user ok is on line 2 already'],
  ])('that has %j is refused with a sentence that says where', (row, sentence) => {
    const { problems } = parseBans(`# note\nuser ok\n${row}\n`, 'bans');
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^bans:3: .*\.$/);
    expect(problems[0]).toContain(sentence);
  });

  test('that has the same range twice is refused, however it is written', () => {
    const { problems } = parseBans('address 1.2.3.4\naddress ::ffff:1.2.3.4/128\n', 'bans');
    expect(problems).toEqual([
      'bans:2: address "::ffff:1.2.3.4/128" is on line 1 already; keep one of them.'.replaceAll('"', ''),
    ]);
  });

  test('that has too many is refused, and no more than twenty problems are told', () => {
    const many = Array.from({ length: BANS_MAX + 5 }, (_, index) => `user u${index}`).join('\n');
    expect(parseBans(many, 'bans').problems).toEqual([
      `bans:${BANS_MAX + 1}: there may be ${BANS_MAX} bans; remove some.`,
    ]);
    expect(parseBans('x\n'.repeat(100), 'bans').problems).toHaveLength(20);
  });

  test('is read as it was written, whatever the names', () => {
    const name = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text.isWellFormed());
    const until = fc.option(fc.integer({ min: 0, max: 4e12 }), { nil: NEVER });
    const reason = fc.string().map((text) => text.trim());
    const ban = fc.record({ kind: fc.constantFrom('client' as const, 'user' as const), value: name, until, reason });
    fc.assert(
      fc.property(fc.uniqueArray(ban, { selector: ({ kind, value }) => `${kind} ${value}` }), (bans) => {
        expect(parseBans(formatBans(bans), 'bans')).toEqual({ lines: bans.length === 0 ? [''] : bans, problems: [] });
      }),
    );
  });
});

describe('who is banned', () => {
  const ban = (kind: Ban['kind'], value: string, until = NEVER): Ban => ({ kind, value, until, reason: 'why' });

  test('is refused, and counted by kind', () => {
    list.add(ban('client', 'sensor'));
    list.add(ban('user', 'mallory'));
    list.add(ban('address', '10.0.0.0/8'));
    list.add(ban('address', '2001:db8::/32'));
    expect(list.refuse('client', 'sensor')?.reason).toBe('why');
    expect(list.refuse('user', 'sensor')).toBeUndefined();
    expect(list.refuse('user', 'mallory')?.value).toBe('mallory');
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '[2001:db8::5]'])
      expect(list.refuseAddress(address)).toBeDefined();
    for (const address of ['11.0.0.1', '::1', 'unknown', '']) expect(list.refuseAddress(address)).toBeUndefined();
    expect(
      ['banned-client', 'banned-user', 'banned-address'].map((reason) => counters.get(reason as 'banned-user')),
    ).toEqual([1, 1, 3]);
    list.find('client', 'sensor');
    expect(counters.get('banned-client')).toBe(1);
  });

  test('is told by the narrowest range', () => {
    list.add({ ...ban('address', '10.0.0.0/8'), reason: 'wide' });
    list.add({ ...ban('address', '10.1.0.0/16'), reason: 'narrow' });
    expect(list.refuseAddress('10.1.0.1')?.reason).toBe('narrow');
    list.remove('address', '10.1.0.0/16');
    expect(list.refuseAddress('10.1.0.1')?.reason).toBe('wide');
  });

  test('is let in when the time is over', () => {
    list.add(ban('user', 'mallory', clock.now() + 1000));
    list.add(ban('address', '10.0.0.1', clock.now() + 1000));
    clock.advance(999);
    expect(list.find('user', 'mallory')).toBeDefined();
    clock.advance(1);
    expect(list.find('user', 'mallory')).toBeUndefined();
    expect(list.findAddress('10.0.0.1')).toBeUndefined();
    expect(list.size).toBe(0);
  });

  test('is replaced, and removed, by any spelling', () => {
    list.add(ban('address', '1.2.3.4'));
    list.add({ ...ban('address', '::ffff:1.2.3.4'), reason: 'again' });
    expect(list.list().map(({ reason }) => reason)).toEqual(['again']);
    expect(list.remove('address', '1.2.3.4/32')).toBe(true);
    expect(list.remove('address', '1.2.3.4')).toBe(false);
    expect(list.findAddress('1.2.3.4')).toBeUndefined();
  });

  test('must be somebody', () => {
    for (const wrong of [
      ban('address', '10.0.0.1/8'),
      ban('user', ''),
      ban('user', 'x', Number.NaN),
      { ...ban('user', 'x'), reason: 'a\nb' },
    ])
      expect(() => list.add(wrong)).toThrow(RangeError);
    expect(list.size).toBe(0);
  });
});

describe('the file', () => {
  test('is written whole, for its owner alone, with its notes where they were and without what has expired', async () => {
    await writeFile(file, '# head\nuser a\n# middle\nuser b until 2026-01-02T00:00:00Z\nuser c\n');
    await chmod(file, 0o644);
    await list.load(file);
    clock.advance(86_400_000);
    list.add({ kind: 'client', value: 'x y', until: NEVER, reason: 'new' });
    list.remove('user', 'c');
    await list.save(file);
    expect(await readFile(file, 'utf8')).toBe('# head\nuser a\n# middle\nclient "x y" # new\n');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(directory)).toEqual(['bans']);
    const again = new BanList(clock, counters);
    await again.load(file);
    expect(again.list()).toEqual(list.list());
  });

  test('may be empty, and be saved several times at once', async () => {
    await writeFile(file, '');
    await list.load(file);
    list.add({ kind: 'user', value: 'a', until: NEVER, reason: '' });
    const first = list.save(file);
    list.add({ kind: 'user', value: 'b', until: NEVER, reason: '' });
    await Promise.all([first, list.save(file)]);
    const again = new BanList(clock, counters);
    await again.load(file);
    expect(again.size).toBe(2);
  });

  test('that was changed by somebody else is not overwritten', async () => {
    await writeFile(file, 'user a\n');
    await list.load(file);
    await writeFile(file, 'user a\nuser b\n');
    await expect(list.save(file)).rejects.toThrow(`${file}: it was changed since it was read`);
    await list.load(file);
    await list.save(file);
    expect(list.size).toBe(2);
  });

  test.each([
    ['missing', undefined, 'there is no such file'],
    ['not text', Buffer.from([0x75, 0xff, 0x0a]), 'it is not UTF-8 text'],
    ['wrong', Buffer.from('user a\nuser\n'), ':2: who is banned'],
  ])('that is %s leaves the bans there were in force', async (_, bytes, sentence) => {
    list.add({ kind: 'user', value: 'before', until: NEVER, reason: '' });
    if (bytes !== undefined) await writeFile(file, bytes);
    await expect(list.load(file)).rejects.toThrow(BanFileError);
    await expect(list.load(file)).rejects.toThrow(sentence);
    expect(list.find('user', 'before')).toBeDefined();
  });
});
