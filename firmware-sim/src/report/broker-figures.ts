import type { Report } from './report.ts';

/** What a broker said of itself at one moment. */
export interface BrokerSnapshot {
  /** Payloads below $SYS by topic name, as text. */
  readonly sys: ReadonlyMap<string, string>;
  /** A page of metrics in Prometheus' text format; empty for none. */
  readonly prometheus: string;
}

/** Figures that are kept of one broker. */
const figuresMax = 500;
/** Lines of a page that are read. */
const linesMax = 100_000;
/** A longer line is no sample. */
const lineMax = 2_000;

/** The broker's figures at the start and at the end of a run, by name; at most 500, and numbers only. */
export function figureRows(before: BrokerSnapshot, after: BrokerSnapshot): Report['brokerFigures'] {
  const start = new Map([...sysFigures(before.sys), ...prometheusFigures(before.prometheus)]);
  const end = new Map([...sysFigures(after.sys), ...prometheusFigures(after.prometheus)]);
  const rows = [...end].map(([name, value]) => ({ name, start: start.get(name) ?? 0, end: value }));
  return rows.slice(0, figuresMax);
}

/** Numbers of $SYS topics; a unit behind the number (`12 seconds`) is left out, other text is no figure. */
export function sysFigures(payloads: ReadonlyMap<string, string>): Map<string, number> {
  const figures = new Map<string, number>();
  for (const [topicName, payload] of payloads) {
    const match = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?:\s+[a-z]{1,20})?\s*$/i.exec(payload.slice(0, 100));
    const value = Number(match?.[1]);
    if (match !== null && Number.isFinite(value)) figures.set(topicName, value);
  }
  return figures;
}

/**
 * Samples of a page in Prometheus' text format by name and labels, `http_requests_total{code="200"}`. Comments,
 * time stamps, buckets and quantiles, NaN and infinities are left out; so is what is not of the format.
 */
export function prometheusFigures(page: string): Map<string, number> {
  const figures = new Map<string, number>();
  let from = 0;
  for (let read = 0; read < linesMax && from < page.length && figures.size < figuresMax; read++) {
    const newline = page.indexOf('\n', from);
    const to = newline === -1 ? page.length : newline;
    if (to - from <= lineMax) readSample(page.slice(from, to).trim(), figures);
    from = to + 1;
  }
  return figures;
}

function readSample(line: string, figures: Map<string, number>): void {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  if (name === undefined || name.endsWith('_bucket')) return;
  let at = skipBlanks(line, name.length);
  let labels = '';
  if (line[at] === '{') {
    const end = endOfLabels(line, at);
    if (end === -1) return;
    labels = line.slice(at, end);
    at = end;
  }
  const [text = ''] = line.slice(at).trim().split(/\s+/, 1);
  const value = text === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value) && !/[{,]\s*quantile\s*=/.test(labels)) {
    figures.set(name + (labels === '{}' ? '' : labels), value);
  }
}

/** Place behind the closing brace; label values are quoted and may hold braces. -1 where it is missing. */
function endOfLabels(line: string, open: number): number {
  let isQuoted = false;
  for (let at = open + 1; at < line.length; at++) {
    const character = line[at];
    if (isQuoted && character === '\\') at++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (character === '}' && !isQuoted) return at + 1;
  }
  return -1;
}

function skipBlanks(line: string, from: number): number {
  let at = from;
  while (line[at] === ' ' || line[at] === '\t') at++;
  return at;
}
