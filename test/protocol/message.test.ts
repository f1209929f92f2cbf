import { describe, expect, test } from 'vitest';
import { detachTogether, Message } from '../../src/protocol/message.ts';

const CHUNK = Buffer.alloc(64 * 1024, 'x');

function messageAt(payloadStart: number, length: number, properties = 0): Message {
  const payloadEnd = payloadStart + length;
  return new Message({
    topicName: 't',
    payload: CHUNK,
    payloadStart,
    payloadEnd,
    qos: 1,
    ...(properties === 0 ? {} : { properties: CHUNK.subarray(0, properties) }),
  });
}

describe('messages that are detached', () => {
  test('let go of the chunk they came in and keep what they say', () => {
    CHUNK.write('payload of one', 100);
    const [one, other] = [messageAt(100, 14, 7), messageAt(0, 3)];
    detachTogether([one, other]);
    expect(Buffer.from(one.payload).toString()).toBe('payload of one');
    expect(Buffer.from(one.properties).toString()).toBe('xxxxxxx');
    expect(Buffer.from(other.payload).toString()).toBe('xxx');
    for (const { bytes, properties } of [one, other]) {
      expect(bytes.buffer).not.toBe(CHUNK.buffer);
      expect(properties.buffer).not.toBe(CHUNK.buffer);
    }
    expect(other.bytes.buffer).toBe(one.bytes.buffer);
  });

  test('share buffers of 2 KiB at most, unless they are larger themselves', () => {
    const messages = Array.from({ length: 100 }, (_, i) => messageAt(i, i === 50 ? 5000 : 64));
    detachTogether(messages);
    const sizes = new Set(messages.map(({ bytes }) => bytes.buffer));
    expect(
      Math.max(...messages.filter((_, i) => i !== 50).map(({ bytes }) => bytes.buffer.byteLength)),
    ).toBeLessThanOrEqual(2048);
    expect(messages[50]?.bytes.buffer.byteLength).toBeGreaterThanOrEqual(5000);
    expect(sizes.size).toBeLessThan(10);
  });

  test('are copied once, however many queues keep them', () => {
    const message = messageAt(10, 20);
    detachTogether([message, message, message]);
    const { bytes } = message;
    expect(bytes.buffer.byteLength).toBeLessThan(100);
    detachTogether([message]);
    expect(message.bytes).toBe(bytes);
  });
});
