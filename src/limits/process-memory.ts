import { closeSync, openSync, readSync } from 'node:fs';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

const KIB = 1024;
/** What the process takes beside its heap and buffers: code, stacks, libraries, pages that the allocator has no use for yet. */
const NATIVE_BYTES = 96 * KIB * KIB;
/** Of what the container or the machine has, so much is the budget where none was set: the rest is for the kernel and others. */
const DEFAULT_SHARE = 0.8;

/** What there is to know of the memory of this process; bytes. */
export interface MemoryReading {
  /** Pages in memory that are backed by no file: those count towards the limit of a container, and cannot be given back. */
  readonly anonymousBytes: number;
  /** The JavaScript heap with the garbage in it, and buffers outside it. */
  readonly ownBytes: number;
  readonly heapUsedBytes: number;
  readonly heapLimitBytes: number;
}

/** The budget where none was set, bytes: 80 % of the limit of the container, or of the memory of the machine. */
export function defaultMemoryBudget(): number {
  const limit = process.constrainedMemory();
  const total = totalmem();
  return Math.floor(DEFAULT_SHARE * (limit > 0 && limit < total ? limit : total));
}

/**
 * Part of the memory in use: of the budget, or of the JavaScript heap's own limit, whichever is nearer to its end, as the
 * process dies of either.
 *
 * Pages that the allocator keeps after a flood are used again before new ones are: they count no further than what the
 * process holds itself, as the broker would stay in distress for good otherwise. Pages of mapped files (the store) do not
 * count at all: the kernel takes them back when it has need of them.
 */
export function usedPart(reading: MemoryReading, budgetBytes: number): number {
  const { anonymousBytes, ownBytes, heapUsedBytes, heapLimitBytes } = reading;
  const bytes = Math.min(anonymousBytes, ownBytes + NATIVE_BYTES);
  return Math.max(bytes / budgetBytes, heapUsedBytes / heapLimitBytes);
}

/** Reads the memory of this process; takes some 50 µs. Without a free file descriptor it goes by what V8 knows. */
export function readProcessMemory(): MemoryReading {
  // `process.memoryUsage` would read a file, and throw where there are too many open.
  const heap = getHeapStatistics();
  const ownBytes = heap.total_heap_size + heap.external_memory;
  return {
    anonymousBytes: anonymousOfKernel() ?? ownBytes + NATIVE_BYTES,
    ownBytes,
    heapUsedBytes: heap.used_heap_size,
    heapLimitBytes: heap.heap_size_limit,
  };
}

/** What Linux says; undefined elsewhere, and where no file can be opened. */
function anonymousOfKernel(): number | undefined {
  let file: number;
  try {
    file = openSync('/proc/self/status', 'r');
  } catch {
    return undefined;
  }
  try {
    const buffer = Buffer.alloc(4 * KIB);
    const length = readSync(file, buffer);
    const match = /^RssAnon:\s+(\d+) kB$/m.exec(buffer.toString('latin1', 0, length));
    return match === null ? undefined : Number(match[1]) * KIB;
  } finally {
    closeSync(file);
  }
}
