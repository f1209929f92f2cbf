import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AckQueue, type AckSender } from '../../src/connection/ack-queue.ts';
import { PacketType } from '../../src/protocol/packets.ts';

class Sent implements AckSender {
  acks: { type: number; packetId: number; reasonCode: number; reason: string | undefined }[] = [];

  finishAck(type: number, packetId: number, reasonCode: number, reason: string | undefined): void {
    this.acks.push({ type, packetId, reasonCode, reason });
  }

  take(): Sent['acks'] {
    return this.acks.splice(0);
  }
}

const { puback, pubrec, pubcomp } = PacketType;
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('push' as const),
      type: fc.constantFrom(puback, pubrec, pubcomp),
      waits: fc.boolean(),
      reasonCode: fc.constantFrom(0, 0x10, 0x97),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('submit' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('full' as const), is5: fc.boolean() }) },
);

describe('acknowledgements that wait', () => {
  test('go out in the order their packets came, none before its ticket, as a list says', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const queue = new AckQueue();
        const sent = new Sent();
        let model: { ticket: number; type: number; packetId: number; reasonCode: number }[] = [];
        /** Ticket that acknowledgements get now; the one before is with the store, or is stored up to `flushed`. */
        let open = 2;
        let flushed = 1;
        let packetId = 0;
        const release = (): void => {
          queue.release(flushed, sent);
          const end = model.findIndex(({ ticket }) => ticket > flushed);
          const due = model.splice(0, end === -1 ? model.length : end);
          expect(sent.take()).toEqual(
            due.map(({ type, packetId: id, reasonCode }) => ({ type, packetId: id, reasonCode, reason: undefined })),
          );
        };
        for (const next of steps) {
          const isUnderWay = flushed < open - 1;
          if (next.do === 'push') {
            packetId = (packetId % 65_535) + 1;
            const { type, reasonCode } = next;
            const ticket = next.waits ? open : 0;
            queue.push(ticket, type, packetId, reasonCode);
            model.push({ ticket, type, packetId, reasonCode });
          } else if (next.do === 'submit') {
            if (!isUnderWay) open += 1;
          } else if (next.do === 'flush') {
            flushed = open - 1;
            release();
          } else if (isUnderWay) {
            const failed = open - 1;
            const reasonCode = next.is5 ? 0x97 : undefined;
            const isUndone = (type: number): boolean => type !== pubcomp;
            const undone = queue.undo(failed, open, isUndone, reasonCode);
            const gone = model.filter(({ ticket, type }) => ticket === failed && isUndone(type));
            expect(undone).toEqual(gone.map(({ type, packetId: id }) => ({ type, packetId: id })));
            model = model.flatMap((ack) => {
              if (ack.ticket !== failed) return [ack];
              if (!isUndone(ack.type)) return [{ ...ack, ticket: open }];
              return reasonCode === undefined ? [] : [{ ...ack, ticket: 0, reasonCode }];
            });
            flushed = failed;
            release();
          }
          expect(queue.length).toBe(model.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('keep the largest packet id and the reason that goes with one', () => {
    const queue = new AckQueue();
    const sent = new Sent();
    queue.push(5, pubrec, 65_535, 0x99, 'not UTF-8');
    queue.push(5, puback, 1, 0);
    queue.release(4, sent);
    expect(sent.take()).toEqual([]);
    queue.release(5, sent);
    expect(sent.take()).toEqual([
      { type: pubrec, packetId: 65_535, reasonCode: 0x99, reason: 'not UTF-8' },
      { type: puback, packetId: 1, reasonCode: 0, reason: undefined },
    ]);
  });

  test('stay in order while thousands go out behind one that is left', () => {
    const queue = new AckQueue();
    const sent = new Sent();
    for (let ticket = 1; ticket <= 5000; ticket++) queue.push(ticket, puback, ticket, 0);
    for (let flushed = 1; flushed < 5000; flushed++) queue.release(flushed, sent);
    expect(queue.length).toBe(1);
    queue.release(5000, sent);
    expect(sent.acks.map(({ packetId }) => packetId)).toEqual(Array.from({ length: 5000 }, (_, index) => index + 1));
  });
});
