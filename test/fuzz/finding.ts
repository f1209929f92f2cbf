import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProtocolVersion } from '../../src/protocol/packets.ts';

/** An input that did what none may, with all that is needed to do it again. */
export interface Finding {
  target: 'codec' | 'live';
  /** What was wrong, in a sentence. */
  text: string;
  seed: number;
  /** Number of the connection: with the seed it decides what the transport does to the bytes; none for the codec. */
  number?: number;
  version: ProtocolVersion;
  /** Name of the transport; empty for the codec. */
  transport: string;
  /** Whether the connection was to break off instead of ending; none for the codec. */
  breaksOff?: boolean;
  /** The chunks as they were sent, hexadecimal. */
  chunks: string[];
}

/** Writes a finding as a file. @returns its path. */
export function writeFinding(finding: Finding, directory: string, number: number): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${finding.target}-${finding.seed}-${number}.json`);
  writeFileSync(path, `${JSON.stringify(finding, undefined, 2)}\n`, { mode: 0o600 });
  return path;
}

/** Reads a finding that `writeFinding` wrote. @throws Error when the file is none. */
export function readFinding(path: string): Finding {
  const finding = JSON.parse(readFileSync(path, 'utf8')) as Partial<Finding>;
  const { target, chunks, version } = finding;
  if ((target !== 'codec' && target !== 'live') || !Array.isArray(chunks) || version === undefined)
    throw new Error(`${path} is no finding of a fuzzer`);
  return finding as Finding;
}
