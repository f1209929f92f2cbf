import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { findTool } from '../tools.ts';
import type { Materials } from './materials.ts';

/** How a file is broken: makes it, or not; gets its path. */
export type Fault = (file: string, materials: Materials) => void;

/** There is none. */
export const missing: Fault = () => undefined;
/** It is a directory. */
export const directory: Fault = (file) => mkdirSync(file);
/** Its second line is no text. */
export const garbage: Fault = (file) => put(file, Buffer.from([0x61, 0x0a, 0xff, 0xfe, 0x00, 0x80]));
/** It is a pipe that nobody writes to. */
export const pipe: Fault = (file) => void execFileSync(findTool('mkfifo') ?? '', ['-m', '600', file]);
/** It is a link to itself. */
export const loop: Fault = (file) => symlinkSync(file, file);

/** Writes a file with these rights. */
export function put(file: string, content: string | Uint8Array, mode = 0o600): void {
  writeFileSync(file, content);
  chmodSync(file, mode);
}

/** What is written in it. */
export function holding(content: string | Uint8Array): Fault {
  return (file) => put(file, content);
}

/** In order but for who may read it. */
export function open(content: string, mode = 0o644): Fault {
  return (file) => put(file, content, mode);
}

/** A file of so many zeros. */
export function zeros(bytes: number): Fault {
  return (file) => {
    put(file, '');
    truncateSync(file, bytes);
  };
}
