import { writeFileSync } from 'node:fs';
import { configSchema, configurationPage } from '../config/schema.ts';

/** A file of the repository that is made from the table of options. */
export interface GeneratedFile {
  /** Where it is, relative to the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/** The files made from the table of options; run this module to write them. */
export function generatedFiles(): GeneratedFile[] {
  return [
    { path: 'config.schema.json', text: formatJson(configSchema()) },
    { path: 'docs/configuration.md', text: configurationPage() },
  ];
}

/** JSON with lists of plain values on one line, as the repository's formatter has it. */
function formatJson(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2);
  return `${text.replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, items: string) => `[${items.replace(/\s*\n\s*/g, ' ')}]`)}\n`;
}

if (import.meta.main) {
  for (const { path, text } of generatedFiles()) writeFileSync(new URL(`../../${path}`, import.meta.url), text);
}
