import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeChanges, encodeChanges, type TopologyChange } from '../../src/store/topology-change.ts';
import type { SubscriptionRecord } from '../../src/store/store.ts';
import { topicFilters } from '../router/naive-match.ts';
import { topologyChanges } from '../support/topology-changes.ts';

const DAMAGED = /^A list of topology changes is damaged at byte \d+ of \d+: ./;

const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', 'é/😀', '__proto__', '\uFEFFbom', 'x'.repeat(70_000)),
);

const changes = fc.array(
  topologyChanges({
    clientIds: text,
    nodeIds: text,
    queueIds: fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 31, Number.MAX_SAFE_INTEGER)),
    shareNames: fc.constantFrom('g', 'Gruppe ä', '$share'),
    topicFilters,
  }),
  { maxLength: 30 },
);

const record: SubscriptionRecord = {
  topicFilter: 'a/+',
  qos: 1,
  noLocal: true,
  retainAsPublished: false,
  retainHandling: 2,
  subscriptionIdentifier: 300,
};

const ALL: readonly TopologyChange[] = [
  { kind: 'subscription-put', clientId: 'c', nodeId: 'n1', queueId: 2 ** 31 + 1, record },
  { kind: 'subscription-delete', clientId: 'c', topicFilter: 'a/+' },
  { kind: 'session-delete', clientId: 'c' },
  { kind: 'session-moved', clientId: 'c', nodeId: 'n2' },
  { kind: 'route-put', nodeId: 'n1', topicFilter: '#' },
  { kind: 'route-delete', nodeId: 'n1', topicFilter: '#' },
  { kind: 'share-put', nodeId: 'n1', shareKey: 'g/a', queueId: 7, online: 258 },
  { kind: 'share-delete', nodeId: 'n1', shareKey: 'g/a', queueId: 7 },
  { kind: 'node-put', nodeId: 'n1' },
  { kind: 'node-delete', nodeId: 'n1' },
];

/** A list of one change: layout and count, then the given pieces; a string stands for itself with its length in front. */
function listOf(...pieces: (string | number[])[]): Buffer {
  const encoded = pieces.map((piece) => {
    if (typeof piece !== 'string') return Buffer.from(piece);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(piece));
    return Buffer.concat([length, Buffer.from(piece)]);
  });
  return Buffer.concat([Buffer.from([1, 1, 0, 0, 0]), ...encoded]);
}

/** A queue id as it is encoded. */
function queueBytes(queueId: number): number[] {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(queueId);
  return [...bytes];
}

describe('a list of changes', () => {
  test('of any kind comes back as it was', () => {
    fc.assert(
      fc.property(changes, (list) => {
        expect(decodeChanges(encodeChanges(list))).toEqual(list);
      }),
    );
  });

  test('is laid out as documented, so that nodes of other versions read it', () => {
    expect(encodeChanges([])).toEqual(Buffer.from([1, 0, 0, 0, 0]));
    const layouts: Buffer[] = [
      listOf([1], 'c', 'n1', queueBytes(2 ** 31 + 1), 'a/+', [0x25, 0x2c, 1, 0, 0]),
      listOf([2], 'c', 'a/+'),
      listOf([3], 'c'),
      listOf([4], 'c', 'n2'),
      listOf([5], 'n1', '#'),
      listOf([6], 'n1', '#'),
      listOf([7], 'n1', 'g/a', queueBytes(7), [2, 1, 0, 0]),
      listOf([8], 'n1', 'g/a', queueBytes(7)),
      listOf([10], 'n1'),
      listOf([9], 'n1'),
    ];
    expect(ALL.map((change) => encodeChanges([change]))).toEqual(layouts);
  });

  test('is read wherever its bytes stand', () => {
    const encoded = encodeChanges(ALL);
    const around = Buffer.concat([Buffer.from('before'), encoded, Buffer.from('behind')]);
    expect(decodeChanges(new Uint8Array(around.buffer, around.byteOffset + 6, encoded.length))).toEqual(ALL);
  });

  test('keeps nothing of the bytes it was read from', () => {
    const encoded = encodeChanges(ALL);
    const decoded = decodeChanges(encoded);
    encoded.fill(0xff);
    expect(decoded).toEqual(ALL);
  });
});

describe('damage is refused with what and where', () => {
  test('cut off anywhere', () => {
    const encoded = encodeChanges(ALL);
    for (let length = 0; length < encoded.length; length++) {
      expect(() => decodeChanges(encoded.subarray(0, length))).toThrow(DAMAGED);
    }
  });

  const cases: readonly (readonly [what: string, bytes: Buffer, message: string])[] = [
    ['nothing at all', Buffer.alloc(0), 'at byte 0 of 0: 1 bytes are missing or cut off'],
    ['another layout', Buffer.from([2, 0, 0, 0, 0]), 'at byte 0 of 5: layout 2 is not known'],
    ['an unknown kind', listOf([11], 'n1'), 'at byte 5 of 12: a change of kind 11 is not known'],
    ['bytes behind the last change', listOf([9], 'n1', [0]), 'at byte 12 of 13: 1 bytes follow the last change'],
    ['a string beyond the end', listOf([9, 3, 0, 0, 0, 0x6e]), 'at byte 10 of 11: 3 bytes are missing or cut off'],
    ['a string that is not UTF-8', listOf([9, 1, 0, 0, 0, 0xff]), 'at byte 10 of 11: a string is not UTF-8'],
    ['an invalid topic filter', listOf([5], 'n1', 'a/#/b'), 'at byte 16 of 21: "a/#/b" is no topic filter'],
    ['a shared topic filter', listOf([5], 'n1', '$share/g/a'), 'at byte 16 of 26: "$share/g/a" is no topic filter'],
    ['an empty topic filter', listOf([2], 'c', ''), 'at byte 15 of 15: "" is no topic filter'],
    ['a share key without filter', listOf([8], 'n1', 'g/'), 'at byte 16 of 18: "g/" is no share key'],
    ['a share key without name', listOf([8], 'n1', '/a'), 'at byte 16 of 18: "/a" is no share key'],
    [
      'half a queue id',
      listOf([7], 'n1', 'g/a', queueBytes(1.5), [0, 0, 0, 0]),
      'at byte 19 of 31: 1.5 is no queue id',
    ],
    [
      'QoS 3',
      listOf([1], 'c', 'n1', queueBytes(1), 'a', [3, 0, 0, 0, 0]),
      'at byte 30 of 35: options 0x3 of a subscription are not valid',
    ],
    [
      'Retain Handling 3',
      listOf([1], 'c', 'n1', queueBytes(1), 'a', [0x30, 0, 0, 0, 0]),
      'at byte 30 of 35: options 0x30 of a subscription are not valid',
    ],
    [
      'a subscription identifier above 268,435,455',
      listOf([1], 'c', 'n1', queueBytes(1), 'a', [0, 0, 0, 0, 0x10]),
      'at byte 31 of 35: subscription identifier 268435456 is too high',
    ],
  ];
  test.each(cases)('%s', (_what, bytes, message) => {
    expect(() => decodeChanges(bytes)).toThrow(new Error(`A list of topology changes is damaged ${message}`));
  });

  /** Whatever the bytes: an error of ours, or changes that are encoded to just these bytes. */
  function refusedOrRead(bytes: Uint8Array): void {
    let list: TopologyChange[];
    try {
      list = decodeChanges(bytes);
    } catch (error) {
      expect((error as Error).message).toMatch(DAMAGED);
      return;
    }
    expect(encodeChanges(list).equals(bytes)).toBe(true);
  }

  test('random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refusedOrRead), { numRuns: 1000 });
    const listHead = fc.uint8Array({ maxLength: 100 }).map((bytes) => Uint8Array.from([1, 2, 0, 0, 0, 9, ...bytes]));
    fc.assert(fc.property(listHead, refusedOrRead), { numRuns: 1000 });
  });

  test('changed bytes in a list that was good', () => {
    const encoded = encodeChanges(ALL);
    const edits = fc.array(fc.tuple(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(edits, (list) => {
        const bytes = Buffer.from(encoded);
        for (const [at, change] of list) bytes[at] = bytes[at]! ^ change;
        refusedOrRead(bytes);
      }),
      { numRuns: 3000 },
    );
  });
});
