import { describe, expect, it } from 'vitest';
import { stampLength, stampPlaceholder } from '../../src/checker/stamp.ts';
import { commandsTrue, encodeSparkplug } from '../../src/devices/sparkplug.ts';
import { Random } from '../../src/lib/random.ts';
import { metricsOf, readFields } from './protobuf-reader.ts';

const sim = { name: 'sim', datatype: 12, string: stampPlaceholder };

describe('Sparkplug payloads', () => {
  it('encode each data type in its own field, as an independent reader sees it', () => {
    const { bytes } = encodeSparkplug({
      timestamp: 1_700_000_000_123,
      seq: 200,
      metrics: [
        { name: 'i', alias: 1, timestamp: 5, type: 'Int32', value: 300 },
        { name: 'l', type: 'Int64', value: 2 ** 40 },
        { alias: 70_000, type: 'Double', value: -1.5 },
        { name: 'b', type: 'Boolean', value: true },
        { name: 's', type: 'String', value: 'größer' },
      ],
    });
    const fields = readFields(bytes);
    expect(fields.filter(({ field }) => field !== 2)).toEqual([
      { field: 1, value: 1_700_000_000_123n },
      { field: 3, value: 200n },
    ]);
    expect(metricsOf(bytes)).toEqual([
      { name: 'i', alias: 1, timestamp: 5, datatype: 3, int: 300 },
      { name: 'l', datatype: 4, long: 2 ** 40 },
      { alias: 70_000, datatype: 10, double: -1.5 },
      { name: 'b', datatype: 11, boolean: true },
      { name: 's', datatype: 12, string: 'größer' },
      { ...sim, timestamp: 1_700_000_000_123 },
    ]);
  });

  it('are these bytes', () => {
    const { bytes, stampAt } = encodeSparkplug({
      timestamp: 1,
      seq: 0,
      metrics: [{ name: 'a', alias: 2, timestamp: 1, type: 'Boolean', value: true }],
    });
    const metric = '12 0b 0a 01 61 10 02 18 01 20 0b 70 01';
    const stamp = `12 3a 0a 03 73 69 6d 18 01 20 0c 7a 2f ${Buffer.from(stampPlaceholder).toString('hex')}`;
    expect(bytes.toString('hex')).toBe(`08 01 18 00 ${metric} ${stamp}`.replaceAll(' ', ''));
    expect(stampAt).toBe(bytes.length - stampLength);
  });

  it('have no sequence number where there is none to have', () => {
    const { bytes } = encodeSparkplug({ timestamp: 1, metrics: [] });
    expect(readFields(bytes).map(({ field }) => field)).toEqual([1, 2]);
  });

  it('may be long', () => {
    const metrics = Array.from({ length: 500 }, (_, alias) => ({ alias, type: 'Double' as const, value: alias / 3 }));
    const { bytes, stampAt } = encodeSparkplug({ timestamp: 1, seq: 1, metrics });
    expect(metricsOf(bytes)).toHaveLength(501);
    expect(bytes.toString('latin1', stampAt)).toBe(stampPlaceholder);
  });
});

describe('commands', () => {
  const command = (name: string, value: boolean): Buffer =>
    encodeSparkplug({
      timestamp: 1,
      metrics: [
        { name: 'x', type: 'Int32', value: 1 },
        { name, type: 'Boolean', value },
      ],
    }).bytes;

  it('are told by name and by what they want', () => {
    expect(commandsTrue(command('Node Control/Rebirth', true), 'Node Control/Rebirth')).toBe(true);
    expect(commandsTrue(command('Node Control/Rebirth', false), 'Node Control/Rebirth')).toBe(false);
    expect(commandsTrue(command('Node Control/Reboot', true), 'Node Control/Rebirth')).toBe(false);
  });

  it('are nothing in bytes that are no Sparkplug', () => {
    const random = new Random(3);
    const whole = command('Node Control/Rebirth', true);
    expect(commandsTrue(Buffer.alloc(0), 'a')).toBe(false);
    expect(commandsTrue(Buffer.from('{"json":true}'), 'a')).toBe(false);
    expect(commandsTrue(Buffer.concat([Buffer.alloc(70_000), whole]), 'Node Control/Rebirth')).toBe(false);
    for (let at = 0; at < whole.length - stampLength; at++) commandsTrue(whole.subarray(0, at), 'a');
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(Array.from({ length: random.below(60) }, () => random.below(256)));
      expect(commandsTrue(bytes, 'Node Control/Rebirth')).toBe(false);
    }
  });
});
