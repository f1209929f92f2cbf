import { describe, expect, test as plain } from 'vitest';
import { test } from './statement-test.ts';

describe('a conformance test', () => {
  const metas: { assertions?: number }[] = [];

  test('without an assertion runs', ({ task }) => {
    metas.push(task.meta);
  });

  test('with two assertions runs', async ({ task }) => {
    metas.push(task.meta);
    expect(task.name).toContain('two');
    await Promise.resolve();
    expect(metas.length).toBe(2);
  });

  plain('has told how many assertions it made', () => {
    expect(metas.map((meta) => meta.assertions)).toEqual([0, 2]);
  });
});
