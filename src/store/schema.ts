import type { Database } from './database.ts';
import type { RecordReader } from './record-reader.ts';
import { RecordWriter } from './record-writer.ts';
import { KeyKind, StoreKey } from './store-key.ts';
import { StoreError } from './store.ts';

/** Version of the records; raise it with every change that an older Trellis cannot read. */
export const SCHEMA_VERSION = 1;

/**
 * Checks that this version can read the database, and marks an empty one.
 * @throws StoreError when it was made by a newer version or is not of this kind.
 */
export async function ensureSchema(database: Database, reader: RecordReader, file: string): Promise<void> {
  const key = new StoreKey().texts(KeyKind.schema, new Uint8Array(0));
  const value = database.get(key);
  if (value === undefined) {
    if (database.recordCount() > 0) {
      throw new StoreError(`The file ${file} is a database, but not of Trellis. Choose another data directory.`);
    }
    const writer = new RecordWriter();
    const text = Buffer.from(JSON.stringify({ version: SCHEMA_VERSION }));
    writer.raw(text, 0, text.length);
    await database.batch(writer.bytes, () => database.put(key, 0, writer.position));
    return;
  }
  reader.reset(value, value.length);
  const { version } = JSON.parse(reader.text()) as { version: number };
  if (version > SCHEMA_VERSION) {
    throw new StoreError(
      `The data in ${file} was written by a newer version of Trellis (schema ${version}, this one reads up to ${SCHEMA_VERSION}). Install that version, or choose another data directory.`,
    );
  }
}
