import { expect, test } from 'vitest';
import { NaiveRules } from '../acl/naive-rules.ts';
import { allIdentities, STRICT, worldOf } from './identities.ts';
import { Matrix, type MatrixResult } from './matrix.ts';

test('in every way a message can travel, everybody may what the naive model of the rules says', async () => {
  const identities = await allIdentities();
  const model = new NaiveRules(STRICT, false, worldOf(identities));
  const result: MatrixResult = { cells: new Map(), allowed: 0, wrong: [] };
  for (const version of [3, 4, 5] as const) await Matrix.run(version, identities, { model, result });
  const cells = [...result.cells.values()].reduce((sum, count) => sum + count, 0);
  const ways = [...result.cells].map(([way, count]) => `${way}: ${count}`).join(', ');
  console.log(`${cells} cells, ${result.allowed} allowed, ${result.wrong.length} wrong; ${ways}`);
  expect(result.wrong).toEqual([]);
  expect(cells).toBeGreaterThanOrEqual(5_000);
  expect(result.allowed).toBeGreaterThan(cells / 8);
});
