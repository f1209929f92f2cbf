import { PbfReader, PbfWriter } from 'pbf';
import { type StampedPayload, stampLength, stampPlaceholder } from '../checker/stamp.ts';

/** A metric of Sparkplug B with its value, by the data types used here. */
export type Metric = {
  /** Absent in data, where the alias stands for it. */
  readonly name?: string;
  readonly alias?: number;
  /** ms since 1970. */
  readonly timestamp?: number;
} & (
  | { readonly type: 'Int32' | 'Int64' | 'Double'; readonly value: number }
  | { readonly type: 'Boolean'; readonly value: boolean }
  | { readonly type: 'String'; readonly value: string }
);

/** A payload of Sparkplug B. */
export interface SparkplugPayload {
  /** ms since 1970. */
  readonly timestamp: number;
  /** 0 to 255; NDEATH has none. */
  readonly seq?: number;
  readonly metrics: readonly Metric[];
}

/** Numbers of the data types, Sparkplug 3.0, 6.4.16. */
const dataTypes: Readonly<Record<Metric['type'], number>> = { Int32: 3, Int64: 4, Double: 10, Boolean: 11, String: 12 };

/** Commands longer than this are not looked at, bytes. */
const commandMax = 65_536;
/** Metrics of a command that are looked at. */
const commandMetricsMax = 100;

/**
 * Encodes a payload, and after its metrics one more: the string `sim` with the stamp, which thereby ends the payload.
 *
 *     Payload: timestamp 1, metrics 2, seq 3     Metric: name 1, alias 2, timestamp 3, datatype 4,
 *                                                int_value 10, long_value 11, double_value 13, boolean_value 14, string_value 15
 */
export function encodeSparkplug({ timestamp, seq, metrics }: SparkplugPayload): StampedPayload {
  const writer = new PbfWriter(new Uint8Array(128));
  writer.writeVarintField(1, timestamp);
  if (seq !== undefined) writer.writeVarintField(3, seq);
  for (const metric of metrics) writer.writeMessage(2, writeMetric, metric);
  writer.writeMessage(2, writeMetric, { name: 'sim', timestamp, type: 'String', value: stampPlaceholder });
  const { buffer, byteOffset, length } = writer.finish();
  return { bytes: Buffer.from(buffer, byteOffset, length), stampAt: length - stampLength };
}

function writeMetric(metric: Metric, writer: PbfWriter): void {
  const { name, alias, timestamp, type } = metric;
  if (name !== undefined) writer.writeStringField(1, name);
  if (alias !== undefined) writer.writeVarintField(2, alias);
  if (timestamp !== undefined) writer.writeVarintField(3, timestamp);
  writer.writeVarintField(4, dataTypes[type]);
  switch (metric.type) {
    case 'Int32':
      return writer.writeVarintField(10, metric.value);
    case 'Int64':
      return writer.writeVarintField(11, metric.value);
    case 'Double':
      return writer.writeDoubleField(13, metric.value);
    case 'Boolean':
      return writer.writeBooleanField(14, metric.value);
    case 'String':
      return writer.writeStringField(15, metric.value);
  }
}

/** Whether a command has a metric of this name that is true; false for what is no Sparkplug payload. */
export function commandsTrue(payload: Buffer, name: string): boolean {
  if (payload.length > commandMax) return false;
  try {
    const reader = new PbfReader(payload);
    let metrics = 0;
    for (let field = reader.nextField(); field !== 0 && metrics < commandMetricsMax; field = reader.nextField()) {
      if (field !== 2) continue;
      metrics++;
      if (isTrue(new PbfReader(reader.readBytes()), name)) return true;
    }
  } catch {
    // pbf throws at bytes that are no Protocol Buffers: no command either.
  }
  return false;
}

function isTrue(reader: PbfReader, name: string): boolean {
  let isNamed = false;
  let value = false;
  for (let field = reader.nextField(); field !== 0; field = reader.nextField()) {
    if (field === 1) isNamed = reader.readString() === name;
    else if (field === 14) value = reader.readBoolean();
  }
  return isNamed && value;
}
