import { describe, expect, test } from 'vitest';
import { FAILPOINTS, Failpoint, parseFailpoint } from '../../src/lib/failpoints.ts';

describe('a failpoint', () => {
  test('crashes when its instant is reached for the given time, and at no other instant', () => {
    let crashes = 0;
    const failpoint = new Failpoint('flushed', 2, () => {
      crashes += 1;
    });
    for (const name of FAILPOINTS) failpoint.reach(name);
    expect(crashes).toBe(0);
    for (const name of FAILPOINTS) if (name !== 'flushed') failpoint.reach(name);
    expect(crashes).toBe(0);
    failpoint.reach('flushed');
    expect(crashes).toBe(1);
    failpoint.reach('flushed');
    expect(crashes).toBe(1);
  });

  test.each(FAILPOINTS)('%s can be asked for by its name', (name) => {
    expect(parseFailpoint(`${name}:3`)?.name).toBe(name);
    expect(parseFailpoint(name)?.name).toBe(name);
  });

  test('is not there unless it is asked for', () => {
    expect(parseFailpoint(undefined)).toBeUndefined();
    expect(parseFailpoint('')).toBeUndefined();
  });

  test.each(['flush', 'flushed:0', 'flushed:-1', 'flushed:x', 'flushed:', 'flushed:1:2', ':1', '__proto__'])(
    '%j is refused',
    (text) => {
      expect(() => parseFailpoint(text)).toThrow(RangeError);
    },
  );
});
