import fc from 'fast-check';
import type { Witness } from '../../src/checker/witness.ts';

type Told = Required<Witness>;

/** The name of a fact, and what is told with it. */
export type Fact = { [Kind in keyof Told]: readonly [Kind, ...Parameters<Told[Kind]>] }[keyof Told];

const client = fc.nat({ max: 0xffffff });
const sequence = fc.nat({ max: 0xffffffff });
const seconds = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constant(Number.POSITIVE_INFINITY));
const at = fc.double({ min: 0, max: 1e9, noNaN: true });
const text = fc.string({ unit: 'grapheme', maxLength: 5 });
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2);
const reasonCode = fc.nat({ max: 255 });
const message = fc.record(
  { sequence, topicName: text, qos, retain: fc.boolean(), isEmpty: fc.boolean(), expirySeconds: seconds },
  { requiredKeys: ['sequence', 'topicName', 'qos', 'retain', 'isEmpty'], noNullPrototype: true },
);
const will = fc.tuple(message, seconds).map(([one, delaySeconds]) => ({ ...one, delaySeconds }));
const plain = { noNullPrototype: true } as const;
const terms = fc.record(
  { cleanStart: fc.boolean(), expirySeconds: seconds, keepAliveSeconds: fc.nat({ max: 65_535 }) },
  plain,
);
const delivery = fc.record({ topicName: text, qos, retain: fc.boolean(), dup: fc.boolean(), length: fc.nat() }, plain);
/** Damaged stamps read as any number, or none. */
const reading = fc.record(
  {
    kind: fc.constantFrom('intact' as const, 'damaged' as const, 'foreign' as const, 'empty' as const),
    client: fc.oneof(client, fc.constant(Number.NaN)),
    sequence: fc.oneof(sequence, fc.constant(Number.NaN)),
    dueAt: fc.oneof(at, fc.constant(Number.NaN)),
    qos: fc.integer({ min: -48, max: 207 }),
  },
  plain,
);

/** Every subscription there is, but for its filter. */
export const subscription: fc.Arbitrary<Parameters<Told['subscribing']>[1]> = fc.record(
  {
    topicFilter: text,
    qos,
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  },
  { requiredKeys: ['topicFilter', 'qos'], noNullPrototype: true },
);

/** Facts of each kind. */
export const factsByKind: { readonly [Kind in keyof Told]: fc.Arbitrary<readonly [Kind, ...Parameters<Told[Kind]>]> } =
  {
    client: fc.tuple(fc.constant('client' as const), client, text, text),
    connecting: fc.tuple(fc.constant('connecting' as const), client, terms, fc.option(will, { nil: undefined }), at),
    connected: fc.tuple(fc.constant('connected' as const), client, fc.boolean(), at),
    disconnecting: fc.tuple(
      fc.constant('disconnecting' as const),
      client,
      fc.boolean(),
      fc.option(seconds, { nil: undefined }),
      at,
    ),
    ended: fc.tuple(fc.constant('ended' as const), client, fc.constantFrom('closed' as const, 'silent' as const), at),
    sent: fc.tuple(fc.constant('sent' as const), client, message, at),
    acknowledged: fc.tuple(fc.constant('acknowledged' as const), client, sequence, at),
    completed: fc.tuple(fc.constant('completed' as const), client, sequence, at),
    refused: fc.tuple(fc.constant('refused' as const), client, sequence, reasonCode, at),
    abandoned: fc.tuple(fc.constant('abandoned' as const), client, sequence, at),
    subscribing: fc.tuple(fc.constant('subscribing' as const), client, subscription, at),
    subscribed: fc.tuple(fc.constant('subscribed' as const), client, text, reasonCode, at),
    unsubscribing: fc.tuple(fc.constant('unsubscribing' as const), client, text, at),
    unsubscribed: fc.tuple(fc.constant('unsubscribed' as const), client, text, at),
    delivered: fc.tuple(fc.constant('delivered' as const), client, delivery, reading, at),
    broker: fc.tuple(fc.constant('broker' as const), fc.constantFrom('down' as const, 'up' as const), at),
  };

/** Facts of any kind. */
export const anyFact: fc.Arbitrary<Fact> = fc.oneof(...(Object.values(factsByKind) as fc.Arbitrary<Fact>[]));

/** Tells a witness a fact. */
export function tell(witness: Witness, [kind, ...told]: Fact): void {
  (witness[kind] as (...told: readonly unknown[]) => void).apply(witness, told);
}

/** A witness that keeps what it is told in `facts`, as it was at that time. */
export function keeper(facts: Fact[]): Witness {
  return new Proxy({} as Witness, {
    get: (_, kind) => {
      return (...told: readonly unknown[]): void =>
        void facts.push([kind, ...structuredClone(told)] as unknown as Fact);
    },
  });
}
