import { expect, test } from 'vitest';
import { resultsSection, withResults } from '../../bench/docs.ts';
import { plot } from '../../bench/plot.ts';
import { median, mergeResults, multiples } from '../../bench/results.ts';
import { resultsOf, run } from './results-support.ts';

const PAIR = [run('trellis', 0, { brokerCpuPerMillion: 2 }), run('mosquitto', 0, { brokerCpuPerMillion: 8 })];

test('a median is the middle number or between the two middle ones', () => {
  expect([median([]), median([3]), median([3, 1]), median([9, 1, 2])]).toEqual([undefined, 3, 2, 2]);
});

test('a run too short to cost CPU time gives no multiple', () => {
  expect(multiples([run('trellis', 0, { brokerCpuPerMillion: 0 })], PAIR)).toEqual([]);
  expect(multiples([run('trellis', 1, {})], PAIR)).toEqual([]);
});

test('parts of a comparison put together keep their rounds apart and take the last date', () => {
  const other = run('trellis', 0, {}, 5);
  const merged = mergeResults([
    resultsOf(PAIR, '2026-01-03'),
    resultsOf([...PAIR, other], '2026-01-02'),
    resultsOf(PAIR, '2026-01-01'),
  ]);
  expect(merged.date).toBe('2026-01-03');
  expect(merged.outcomes.map(({ version, round }) => [version, round])).toEqual([
    [4, 0],
    [4, 0],
    [4, 1],
    [4, 1],
    [5, 0],
    [4, 2],
    [4, 2],
  ]);
});

test('results stand between the marks of the document and nothing else changes', () => {
  const begin = '<!-- results: written by npm run bench -- --write-docs -->';
  const end = '<!-- end of results -->';
  const written = withResults(`before\n${begin}\nold\n${end}\nafter\n`, 'new');
  expect(written).toBe(`before\n${begin}\n\nnew\n\n${end}\nafter\n`);
  expect(withResults(written, 'new')).toBe(written);
  expect(() => withResults('no marks', 'new')).toThrow(RangeError);
});

test('the section says when, where and what was measured', () => {
  const section = resultsSection(resultsOf(PAIR));
  for (const said of ['2026-01-02', 'Some CPU', '8 GB', 'Linux 6.1', 'trellis 0.1.0', '#### fanin-q0 (MQTT 3.1.1)'])
    expect(section).toContain(said);
});

test('the plot has a bar with its spread for each broker but the reference, and the goal', () => {
  const svg = plot(resultsOf([...PAIR, run('aedes', 0, { brokerCpuPerMillion: 16 })]));
  expect(svg).toMatch(/^<svg [^]*<\/svg>\n$/);
  expect(svg.match(/<rect class="c\d" x="[^"]*" y="[^"]*" width="[^"]*" height="8"/g)).toHaveLength(2);
  expect(svg.match(/<line class="spread"/g)).toHaveLength(2);
  expect(svg.match(/<line class="goal"/g)).toHaveLength(2); // one is in the legend
  expect(svg).toContain('prefers-color-scheme: dark');
});
