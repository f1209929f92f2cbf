import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  code,
  messageBits,
  messageOf,
  qosOf,
  readingKinds,
  sizes,
  subscriptionBits,
  subscriptionOf,
} from '../../src/checker/fact-codes.ts';
import { subscription } from './facts.ts';

describe('fact codes', () => {
  it('are as many as there are sizes, each once', () => {
    expect(Object.values(code).toSorted((one, other) => one - other)).toEqual([...sizes.keys()]);
  });

  it('name every kind of reading once', () => {
    expect(readingKinds.toSorted()).toEqual(['damaged', 'empty', 'foreign', 'intact']);
  });
});

describe('messageOf', () => {
  it('makes the message again from its bits', () => {
    for (const qos of [0, 1, 2] as const) {
      for (const retain of [false, true]) {
        for (const isEmpty of [false, true]) {
          const message = { sequence: 7, topicName: 'a/b', qos, retain, isEmpty };
          expect(messageOf(messageBits(message), 7, 'a/b', Number.NaN)).toStrictEqual(message);
          expect(messageOf(messageBits(message), 7, 'a/b', 0)).toStrictEqual({ ...message, expirySeconds: 0 });
          expect(qosOf(messageBits(message))).toBe(qos);
        }
      }
    }
  });
});

describe('subscriptionOf', () => {
  it('makes the subscription again from its bits, without what was not there', () => {
    fc.assert(
      fc.property(subscription, (one) => {
        expect(subscriptionOf(subscriptionBits(one), one.topicFilter)).toStrictEqual(one);
      }),
    );
  });
});
