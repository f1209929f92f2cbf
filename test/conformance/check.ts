/** What the run of one conformance test came to. */
export interface TestRun {
  /** Name of its file in test/conformance. */
  file: string;
  title: string;
  status: string;
  /** Assertions it made; undefined where it did not say, which counts as none. */
  assertions: number | undefined;
}

/** What is known about the statements of the standards. */
export interface Evidence {
  /** All ids: `MQTT-3.1.0-1` of 5.0, `v3 MQTT-3.1.0-1` of 3.1.1, in the order of the standards. */
  statements: readonly string[];
  tests: readonly TestRun[];
  /** Why a statement binds only the client or cannot be observed, by id. */
  notObservable: ReadonlyMap<string, string>;
}

/** One statement of docs/conformance.md: the tests that show it, or why there is none. */
export interface ConformanceRow {
  statement: string;
  tests: TestRun[];
  reason: string | undefined;
}

const PREFIX = /^(?:\[(?:v3 )?MQTT-[0-9.]+-[0-9]+\])+ /;
const CITATION = /\[((?:v3 )?MQTT-[0-9.]+-[0-9]+)\]/g;

/** Reads a list of ids, one a line, `#` for comments; `prefix` goes before each. */
export function parseStatements(text: string, prefix: string): string[] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => prefix + line);
}

/** The statements a test is named for: the ids in brackets its name begins with. */
export function citationsOf(title: string): string[] {
  const prefix = PREFIX.exec(title)?.[0] ?? '';
  return [...prefix.matchAll(CITATION)].map((match) => match[1]!);
}

/**
 * Holds the tests against the statements. Each statement must have a test or a reason and not both; each citation must
 * be of a statement there is; each test must cite, have passed, and have asserted something.
 * @returns the rows in the order of the statements, and a sentence for each problem.
 */
export function checkConformance(evidence: Evidence): { rows: ConformanceRow[]; problems: string[] } {
  const problems: string[] = [];
  const rows = new Map<string, ConformanceRow>();
  for (const statement of evidence.statements) {
    if (rows.has(statement)) problems.push(`${statement} stands twice in the lists`);
    rows.set(statement, { statement, tests: [], reason: evidence.notObservable.get(statement) });
  }
  for (const statement of evidence.notObservable.keys()) {
    if (!rows.has(statement)) problems.push(`${statement} has a reason, but there is no such statement`);
  }
  for (const run of evidence.tests) {
    const place = `${run.file}: "${run.title}"`;
    const citations = citationsOf(run.title);
    if (citations.length === 0) problems.push(`${place} does not begin with the id of a statement`);
    for (const statement of citations) {
      const row = rows.get(statement);
      if (row === undefined) problems.push(`${place} cites ${statement}, and there is no such statement`);
      else row.tests.push(run);
    }
    if (run.status !== 'passed') problems.push(`${place} ${run.status}`);
    else if ((run.assertions ?? 0) === 0) problems.push(`${place} asserts nothing`);
  }
  for (const row of rows.values()) {
    if (row.tests.length === 0 && row.reason === undefined) problems.push(`${row.statement} has no test and no reason`);
    if (row.tests.length > 0 && row.reason !== undefined) {
      problems.push(`${row.statement} has both a test and a reason why there is none`);
    }
  }
  return { rows: [...rows.values()], problems };
}

/** docs/conformance.md for these rows; the same rows give the same bytes. */
export function renderConformance(rows: readonly ConformanceRow[]): string {
  const lines = [
    '# Conformance',
    '',
    'Each normative statement of MQTT 5.0 and MQTT 3.1.1 (marked v3) with the tests over real sockets that show it, or the',
    'reason why a server cannot show it. `npm test` runs them twice, with the state in memory and in Redis. Written by',
    '`npm run conformance`, which fails on a statement without either, and on a test that fails or asserts nothing.',
    '',
    summaryOf(rows),
  ];
  for (const [title, isPart] of [
    ['MQTT 5.0', (id: string) => !id.startsWith('v3 ')],
    ['MQTT 3.1.1', (id: string) => id.startsWith('v3 ')],
  ] as const) {
    const part = rows.filter((row) => isPart(row.statement));
    if (part.length === 0) continue;
    lines.push('', `## ${title}`, '', '| statement | shown by |', '|---|---|');
    for (const row of part) lines.push(`| ${row.statement.replaceAll(' ', '&nbsp;')} | ${shownBy(row)} |`);
  }
  return `${lines.join('\n')}\n`;
}

/** How many statements there are, how many are tested and how many have a reason, in one sentence. */
export function summaryOf(rows: readonly ConformanceRow[]): string {
  const tested = rows.filter((row) => row.tests.length > 0);
  const tests = new Set(tested.flatMap((row) => row.tests));
  const reasoned = rows.filter((row) => row.reason !== undefined);
  return (
    `${rows.length} statements: ${tested.length} shown by ${tests.size} tests, ` +
    `${reasoned.length} bind only the client or cannot be observed.`
  );
}

function shownBy(row: ConformanceRow): string {
  const titles = row.tests.map((run) => `${run.title.replace(PREFIX, '')} (${run.file})`).sort();
  const parts = row.reason === undefined ? titles : [...titles, `*${row.reason}*`];
  return parts.join('<br>').replaceAll('|', '\\|');
}
