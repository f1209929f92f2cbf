import { resolve } from 'node:path';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { TlsOptions } from '../wire/endpoint.ts';
import { parseCsv, type CsvTable } from './csv.ts';
import { isWebsocket, type ParsedUrl, parseBrokerUrl } from './endpoints.ts';
import type { Findings } from './resolve.ts';
import type { BrokerSection, ScenarioFile, TlsSection } from './scenario-file.ts';
import { type Path, type Problem, ScenarioError } from './scenario-error.ts';
import { readProblem, readText } from './source.ts';

/** Reads the certificates of a scenario and takes its URLs apart. */
export function checkBroker(
  broker: BrokerSection,
  directory: string,
  problems: Problem[],
): Pick<Findings, 'url' | 'websocketUrl'> {
  const tls = readTls(broker.tls ?? {}, directory, (field, text) =>
    problems.push({ path: ['broker', 'tls', ...field], text }),
  );
  const parse = (field: 'url' | 'websocketUrl'): ParsedUrl | undefined => {
    const text = broker[field];
    const parsed = text === undefined ? undefined : parseBrokerUrl(text, tls);
    if (typeof parsed !== 'string') return parsed;
    problems.push({ path: ['broker', field], text: parsed });
    return undefined;
  };
  const url = parse('url');
  const websocketUrl = parse('websocketUrl');
  if (websocketUrl !== undefined && !isWebsocket(websocketUrl.endpoint)) {
    problems.push({ path: ['broker', 'websocketUrl'], text: 'must begin with ws:// or wss://' });
  }
  for (const field of ['websocketUrl', 'tls', 'metricsUrl'] as const) {
    if (broker.url === undefined && broker[field] !== undefined) {
      problems.push({ path: ['broker', field], text: 'needs a url beside it', isKey: true });
    }
  }
  if (broker.metricsUrl !== undefined && !/^https?:$/.test(URL.parse(broker.metricsUrl)?.protocol ?? '')) {
    problems.push({ path: ['broker', 'metricsUrl'], text: 'must be a URL such as http://host:9090/metrics' });
  }
  if (broker.password !== undefined && broker.username === undefined) {
    problems.push({ path: ['broker', 'password'], text: 'needs a username beside it', isKey: true });
  }
  return { url, websocketUrl };
}

/** TLS files as texts; `report` is told of those that are not there or do not fit. */
function readTls(tls: TlsSection, directory: string, report: (field: Path, text: string) => void): TlsOptions {
  const files: { ca?: string; cert?: string; key?: string } = {};
  for (const field of ['ca', 'cert', 'key'] as const) {
    const path = tls[field];
    if (path === undefined) continue;
    try {
      files[field] = readFileSync(resolve(directory, path), 'utf8');
    } catch (error) {
      report([field], `cannot read ${path}: ${readProblem(error)}`);
    }
  }
  if (tls.cert !== undefined && tls.key === undefined) report(['cert'], 'needs its key beside it');
  if (tls.key !== undefined && tls.cert === undefined) report(['key'], 'needs its certificate beside it: cert');
  const passphrase = tls.passphrase === undefined ? {} : { passphrase: tls.passphrase };
  const options: TlsOptions = { ...files, ...passphrase, verify: tls.verify ?? true };
  const isWhole = (['ca', 'cert', 'key'] as const).every(
    (field) => (tls[field] === undefined) === (files[field] === undefined),
  );
  if (isWhole) checkPem(options, report);
  return options;
}

/** Has the TLS library read them, so that what is wrong shows before the run. */
function checkPem(options: TlsOptions, report: (field: Path, text: string) => void): void {
  const { ca, cert, key, passphrase } = options;
  const pass = passphrase === undefined ? {} : { passphrase };
  const attempts: [field: string, text: string, context: Parameters<typeof createSecureContext>[0]][] = [];
  if (ca !== undefined) attempts.push(['ca', 'holds no certificate in PEM format', { ca }]);
  if (cert !== undefined) attempts.push(['cert', 'holds no certificate in PEM format', { cert }]);
  if (key !== undefined)
    attempts.push([
      'key',
      'holds no private key in PEM format, or one that needs another passphrase',
      { key, ...pass },
    ]);
  const problems = attempts.filter(([, , context]) => !isUsable(context));
  for (const [field, text] of problems) report([field], text);
  if (problems.length === 0 && cert !== undefined && key !== undefined && !isUsable({ cert, key, ...pass })) {
    report(['key'], 'does not belong to the certificate');
  }
}

function isUsable(context: Parameters<typeof createSecureContext>[0]): boolean {
  const holdsPem = context?.ca === undefined || String(context.ca).includes('-----BEGIN');
  try {
    createSecureContext(context);
    return holdsPem;
  } catch {
    return false;
  }
}

/** Reads the CSV files that telemetry refers to, each once. */
export function checkTables(file: ScenarioFile, directory: string, problems: Problem[]): Map<string, CsvTable> {
  const tables = new Map<string, CsvTable>();
  for (const [name, entry] of Object.entries(file.fleet)) {
    for (const [at, row] of ('telemetry' in entry ? (entry.telemetry ?? []) : []).entries()) {
      const csv = typeof row.model === 'object' ? row.model.csv : undefined;
      if (csv === undefined || tables.has(csv)) continue;
      const table = readTable(csv, directory);
      if (typeof table === 'string')
        problems.push({ path: ['fleet', name, 'telemetry', at, 'model', 'csv'], text: table });
      else tables.set(csv, table);
    }
  }
  return tables;
}

function readTable(csv: string, directory: string): CsvTable | string {
  try {
    const table = parseCsv(readText(resolve(directory, csv), csv));
    return typeof table === 'string' ? `${csv} ${table}` : table;
  } catch (error) {
    if (error instanceof ScenarioError) return `cannot read ${error.message}`;
    throw error;
  }
}
