import { describe, expect, test } from 'vitest';
import { Message } from '../../src/protocol/message.ts';
import { InFlightBudget } from '../../src/session/in-flight-budget.ts';
import { InFlight } from '../../src/session/in-flight.ts';
import { QueueEntry } from '../../src/session/queue-entry.ts';
import { Random } from '../fakes/random.ts';

const MESSAGE = new Message({ topicName: 't', payload: Buffer.alloc(0), qos: 1 });

const NO_LIMIT = new InFlightBudget(0, () => {});

function entry(packetId = 0): QueueEntry {
  const made = new QueueEntry(MESSAGE, 1, false, [], '');
  made.packetId = packetId;
  return made;
}

function idsOf(inFlight: InFlight): number[] {
  return inFlight.list().map(({ packetId }) => packetId);
}

describe('what is in flight', () => {
  test('gets packet ids one after the other, from 1 to 65,535 and round again, past those in use', () => {
    const inFlight = new InFlight(NO_LIMIT);
    const stays = entry();
    inFlight.add(stays);
    for (let packetId = 2; packetId <= 65_535; packetId++) {
      const one = entry();
      inFlight.add(one);
      expect(one.packetId).toBe(packetId);
      inFlight.delete(one);
    }
    const next = entry();
    inFlight.add(next);
    expect(next.packetId).toBe(2);
    expect(idsOf(inFlight)).toEqual([1, 2]);
  });

  test('is as large as there are packet ids', () => {
    const inFlight = new InFlight(NO_LIMIT);
    for (let i = 0; i < 65_535; i++) inFlight.add(entry());
    expect(inFlight.size).toBe(65_535);
    expect(inFlight.get(65_535)?.packetId).toBe(65_535);
    const middle = inFlight.get(30_000) as QueueEntry;
    inFlight.delete(middle);
    const again = entry();
    inFlight.add(again);
    expect(again.packetId).toBe(30_000);
    expect(inFlight.list().at(-1)).toBe(again);
  });

  test('does not let go of an entry for another that had its packet id', () => {
    const inFlight = new InFlight(NO_LIMIT);
    inFlight.restore(entry(7));
    inFlight.delete(entry(7));
    inFlight.delete(entry(15));
    expect(inFlight.get(7)?.packetId).toBe(7);
    expect(inFlight.get(15)).toBeUndefined();
    expect(() => inFlight.restore(entry(7))).toThrow('packet id 7 is in flight twice');
  });

  test('behaves like an ordered map, through 200,000 random steps and the end of the packet ids', () => {
    const numbers = new Random(1);
    const random = (): number => numbers.next() / 2 ** 32;
    const inFlight = new InFlight(NO_LIMIT);
    const model = new Map<number, QueueEntry>();
    for (const packetId of [65_000, 65_400]) {
      const one = entry(packetId);
      inFlight.restore(one);
      model.set(packetId, one);
    }
    for (let step = 0; step < 200_000; step++) {
      // Grows for a while, then shrinks.
      if (model.size === 0 || random() < (step % 2000 < 1000 ? 0.6 : 0.4)) {
        const one = entry();
        inFlight.add(one);
        expect(model.has(one.packetId)).toBe(false);
        model.set(one.packetId, one);
      } else {
        const ids = [...model.keys()];
        const packetId = ids[Math.floor(random() ** 3 * ids.length)] as number;
        inFlight.delete(model.get(packetId) as QueueEntry);
        model.delete(packetId);
        expect(inFlight.get(packetId)).toBeUndefined();
      }
      expect(inFlight.size).toBe(model.size);
      if (step % 500 === 0) expect(inFlight.list()).toEqual([...model.values()]);
    }
  });
});
