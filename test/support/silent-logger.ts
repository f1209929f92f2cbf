import type { Logger } from '../../src/lib/logger.ts';

/** A logger that says nothing. */
export const SILENT: Logger = { level: 'error', error() {}, warn() {}, info() {}, debug() {} };
