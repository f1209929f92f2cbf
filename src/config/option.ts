import type { Config } from '../config.ts';

type Plain = readonly unknown[] | string | number | boolean;
type KeysOf<T, Prefix extends string> = {
  [K in keyof T & string]: T[K] extends Plain ? `${Prefix}${K}` : KeysOf<T[K], `${Prefix}${K}.`>;
}[keyof T & string];
/** What an option holds. */
export type ValueAt<T, Key extends string> = Key extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T
    ? ValueAt<T[Head], Rest>
    : never
  : Key extends keyof T
    ? T[Key]
    : never;

/** Path of an option, such as `listeners.tcp.port`: every leaf of Config and nothing else. */
export type OptionKey = KeysOf<Config, ''>;

/** What an integer counts; the value of a `bytes` option may be written `16 MiB`. */
type Unit = 'bytes' | 'ms' | 's' | 'messages' | 'levels' | 'none';

/** What a text has to be, beyond its length. */
export type TextRule =
  | 'host'
  | 'path'
  | 'file'
  | 'origin'
  | 'utf8'
  | 'redis-url'
  | 'key-prefix'
  | 'https-url'
  | 'network';

/** What values an option takes. */
export type OptionType =
  | { readonly kind: 'integer'; readonly min: number; readonly max: number; readonly unit: Unit }
  | { readonly kind: 'port' }
  /** Bytes, or `auto`. */
  | { readonly kind: 'budget'; readonly max: number }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'choice'; readonly values: readonly string[] }
  | { readonly kind: 'text'; readonly rule: TextRule; readonly min: number; readonly max: number }
  | { readonly kind: 'list'; readonly rule: TextRule };

/** One row of the table: the source of validation, JSON Schema, `trellis check` and docs/configuration.md. */
export interface Option<T = unknown> {
  readonly type: OptionType;
  readonly default: T;
  /** One or two sentences for people. */
  readonly description: string;
}

/** Bytes of a kibibyte. */
export const KiB = 1024;
/** Bytes of a mebibyte. */
export const MiB: number = 1024 * KiB;
/** The largest value of four bytes: an interval that never ends, where the standard says so. */
export const uint32Max = 4_294_967_295;

/** True or false. */
export const boolean: OptionType = { kind: 'boolean' };
/** A port to listen on. */
export const port: OptionType = { kind: 'port' };
/** An address or a name of this machine. */
export const host: OptionType = { kind: 'text', rule: 'host', min: 1, max: 253 };

/** An integer in a range, both ends included. */
export function integer(min: number, max: number, unit: Unit = 'none'): OptionType {
  return { kind: 'integer', min, max, unit };
}

/** One of some words. */
export function choice(...values: string[]): OptionType {
  return { kind: 'choice', values };
}

/** Any text of so many bytes. */
export function text(min: number, max: number): OptionType {
  return { kind: 'text', rule: 'utf8', min, max };
}

/** The name of a file; with 0 it may be empty. */
export function file(min: 0 | 1): OptionType {
  return { kind: 'text', rule: 'file', min, max: 4_096 };
}

/** One row of the table. */
export function option<T>(type: OptionType, value: T, description: string): Option<T> {
  return { type, default: value, description };
}
