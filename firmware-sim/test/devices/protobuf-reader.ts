/** A field of a Protocol Buffers message, as it stands on the wire. */
export interface Field {
  readonly field: number;
  readonly value: bigint | Buffer;
}

/** Reads the wire format by the letter of its specification, independently of what wrote it. */
export function readFields(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    if ((tag & 7) === 0) fields.push({ field, value: varint() });
    else {
      const length = (tag & 7) === 1 ? 8 : Number(varint());
      if (at + length > bytes.length || ((tag & 7) !== 1 && (tag & 7) !== 2)) throw new Error(`bad field at ${at}`);
      fields.push({ field, value: bytes.subarray(at, at + length) });
      at += length;
    }
  }
  return fields;
}

/** The metrics of a Sparkplug payload; fields by the names of sparkplug_b.proto. */
export function metricsOf(bytes: Buffer): Record<string, unknown>[] {
  const names = new Map([
    [1, 'name'],
    [2, 'alias'],
    [3, 'timestamp'],
    [4, 'datatype'],
    [10, 'int'],
    [11, 'long'],
    [13, 'double'],
    [14, 'boolean'],
    [15, 'string'],
  ]);
  const metrics = readFields(bytes).filter(({ field }) => field === 2);
  return metrics.map(({ value }) => {
    const entries = readFields(value as Buffer).map(({ field, value: raw }) => {
      const name = names.get(field) ?? `unknown ${field}`;
      if (typeof raw === 'bigint') return [name, name === 'boolean' ? raw === 1n : Number(raw)];
      return [name, name === 'double' ? raw.readDoubleLE(0) : raw.toString()];
    });
    return Object.fromEntries(entries) as Record<string, unknown>;
  });
}

/** Its sequence number; undefined for none. */
export function seqOf(bytes: Buffer): number | undefined {
  const value = readFields(bytes).find(({ field }) => field === 3)?.value;
  return value === undefined ? undefined : Number(value);
}
