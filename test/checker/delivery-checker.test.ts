import { describe, expect, test } from 'vitest';
import { Random } from '../fakes/random.ts';
import { DeliveryChecker } from './delivery-checker.ts';
import type { Fault, SentMessage } from './records.ts';

function message(sequence: number, fields: Partial<SentMessage> = {}): SentMessage {
  const publisher = fields.publisher ?? 'p';
  const topicName = 'load/1';
  return { publisher, sequence, topicName, qos: 1, retain: false, payload: `${publisher} ${sequence}`, ...fields };
}

/** A history in which `taker` has `load/#` with QoS 2; tests tell it what else happened. */
class History {
  readonly checker = new DeliveryChecker();

  constructor() {
    this.subscribe('taker', 'load/#');
  }

  subscribe(taker: string, topicFilter: string, qos: 1 | 2 = 2, isGroup = false): void {
    this.checker.subscribing(taker, topicFilter, qos, isGroup);
    this.checker.subscribed(taker, topicFilter);
  }

  publish(sent: SentMessage): void {
    this.checker.sent(sent);
    this.checker.acknowledged(sent.publisher, sent.sequence);
  }

  deliver(sent: SentMessage, to: { taker?: string; receiver?: string; qos?: number; topicName?: string } = {}): void {
    const { taker = 'taker', receiver = taker, qos = sent.qos, topicName = sent.topicName } = to;
    this.checker.delivered(taker, receiver, { topicName, qos, dup: false, payload: sent.payload });
  }

  /** The faults that were counted at all. */
  get faults(): Partial<Record<Fault, number>> {
    const counts = Object.entries(this.checker.verdict().faults).filter(([, count]) => count > 0);
    return Object.fromEntries(counts);
  }
}

describe('the delivery checker', () => {
  test('finds nothing in a history without faults', () => {
    const history = new History();
    for (let sequence = 0; sequence < 10; sequence++) {
      const sent = message(sequence, { qos: sequence % 2 === 0 ? 1 : 2 });
      history.publish(sent);
      history.deliver(sent);
    }
    expect(history.faults).toEqual({});
    expect(history.checker.verdict()).toMatchObject({ sent: 10, acknowledged: 10, delivered: 10, repeated: 0 });
  });

  test('counts what was acknowledged and never delivered as lost, and nothing else', () => {
    const history = new History();
    for (let sequence = 0; sequence < 10; sequence++) {
      const sent = message(sequence);
      if (sequence < 7) history.publish(sent);
      else history.checker.sent(sent);
      if (sequence < 4) history.deliver(sent);
    }
    expect(history.checker.missing).toBe(3);
    expect(history.faults).toEqual({ lost: 3 });
  });

  test('asks only for messages sent after SUBACK and acknowledged before UNSUBSCRIBE', () => {
    const history = new History();
    const { checker } = history;
    const sent = Array.from({ length: 5 }, (_, sequence) => message(sequence, { topicName: 'churn' }));
    history.publish(sent[0]!);
    checker.subscribing('churner', 'churn', 2);
    history.publish(sent[1]!);
    checker.subscribed('churner', 'churn');
    history.publish(sent[2]!);
    checker.unsubscribing('churner', 'churn');
    history.publish(sent[3]!);
    checker.unsubscribed('churner', 'churn');
    history.publish(sent[4]!);
    expect(history.faults).toEqual({ lost: 1 });
    for (const one of sent) history.deliver(one, { taker: 'churner' });
    expect(history.faults).toEqual({ leak: 2 });
  });

  test('counts each further QoS 2 delivery as a duplicate, and lets QoS 1 be repeated', () => {
    const history = new History();
    const twice = message(1, { qos: 2 });
    const often = message(2, { qos: 1 });
    history.publish(twice);
    history.publish(often);
    for (let times = 0; times < 3; times++) history.deliver(twice);
    for (let times = 0; times < 4; times++) history.deliver(often);
    expect(history.faults).toEqual({ duplicate: 2 });
    expect(history.checker.verdict().repeated).toBe(3);
  });

  test('takes a group for one taker: one member is enough, two with QoS 2 are one too many', () => {
    const history = new History();
    history.subscribe('group', 'shared/#', 2, true);
    const sent = Array.from({ length: 4 }, (_, sequence) => message(sequence, { topicName: 'shared/1', qos: 2 }));
    for (const one of sent) history.publish(one);
    history.deliver(sent[0]!, { taker: 'group', receiver: 'one' });
    history.deliver(sent[1]!, { taker: 'group', receiver: 'other' });
    history.deliver(sent[2]!, { taker: 'group', receiver: 'one' });
    history.deliver(sent[2]!, { taker: 'group', receiver: 'other' });
    expect(history.faults).toEqual({ lost: 1, duplicate: 1 });
  });

  test('counts first deliveries that go backwards, by publisher, topic and QoS', () => {
    const history = new History();
    const order = [1, 2, 5, 3, 4, 6];
    const sent = order.map((sequence) => message(sequence));
    const elsewhere = message(0, { topicName: 'load/2' });
    const otherQos = message(-1, { qos: 2 });
    const otherPublisher = message(0, { publisher: 'q' });
    for (const one of [...sent, elsewhere, otherQos, otherPublisher]) history.publish(one);
    for (const one of sent) history.deliver(one);
    history.deliver(sent[0]!); // Again: only first deliveries count.
    for (const one of [elsewhere, otherQos, otherPublisher]) history.deliver(one);
    expect(history.faults).toEqual({ reordered: 2 });
  });

  test('lets a group hand QoS 1 messages on late, but keeps each member in order with QoS 2', () => {
    const history = new History();
    history.subscribe('group', 'shared/#', 2, true);
    for (const qos of [1, 2] as const) {
      const sent = [1, 2].map((number) => message(10 * qos + number, { topicName: 'shared/1', qos }));
      for (const one of sent) history.publish(one);
      for (const one of sent.toReversed()) history.deliver(one, { taker: 'group', receiver: 'one' });
    }
    expect(history.faults).toEqual({ reordered: 1 });
  });

  test('counts what nobody sent, and what came on another topic', () => {
    const history = new History();
    const sent = message(1);
    history.publish(sent);
    history.deliver(sent, { topicName: 'load/2' });
    history.deliver(message(2));
    history.deliver(message(1, { payload: 'p 1 damaged' }));
    expect(history.faults).toEqual({ phantom: 3 });
  });

  test('wants the lower QoS of publisher and subscription', () => {
    const history = new History();
    history.subscribe('low', 'load/#', 1);
    const sent = message(1, { qos: 2 });
    history.publish(sent);
    history.deliver(sent, { qos: 1 });
    history.deliver(sent, { taker: 'low', qos: 1 });
    expect(history.faults).toEqual({ 'wrong-qos': 1 });
  });

  test('counts messages on topics that were never subscribed to', () => {
    const history = new History();
    const sent = message(1, { topicName: 'elsewhere' });
    history.publish(sent);
    history.deliver(sent);
    expect(history.faults).toEqual({ leak: 1 });
  });

  test('holds wills to be published once when called for, and not at all when taken back', () => {
    const history = new History();
    const sent = Array.from({ length: 5 }, (_, sequence) => message(sequence, { isWill: true, qos: 2 }));
    for (const one of sent) history.checker.sent(one);
    for (const sequence of [0, 1, 2]) history.checker.acknowledged('p', sequence);
    history.checker.forbidden('p', 3);
    history.deliver(sent[0]!);
    history.deliver(sent[1]!);
    history.deliver(sent[1]!);
    history.deliver(sent[3]!);
    history.deliver(sent[4]!); // Neither called for nor taken back.
    expect(history.faults).toEqual({ lost: 1, duplicate: 1, uncalled: 1 });
    expect(history.checker.verdict().wills).toBe(4);
  });

  test('knows when Session Present is wrong', () => {
    const history = new History();
    const { checker } = history;
    checker.connected('new', false, false);
    checker.connected('unanswered', true, undefined);
    checker.connected('unanswered', false, undefined);
    checker.connected('known', true, true);
    expect(history.faults).toEqual({});
    checker.mark('kill 7');
    checker.connected('known', false, true);
    checker.connected('new', true, false);
    expect(history.faults).toEqual({ 'session-present': 2 });
    expect(checker.verdict().violations[0]?.text).toContain('kill 7');
  });

  test('lets a topic retain its last acknowledged value or a later one', () => {
    const history = new History();
    const retained = (sequence: number, payload = `value ${sequence}`): SentMessage =>
      message(sequence, { topicName: 'kept', retain: true, payload });
    history.publish(retained(1));
    history.publish(retained(2));
    history.checker.sent(retained(3));
    history.checker.sent(retained(4, ''));
    for (const payload of ['value 2', 'value 3', undefined]) history.checker.retainedFound('kept', payload);
    expect(history.faults).toEqual({});
    for (const payload of ['value 1', 'value 5']) history.checker.retainedFound('kept', payload);
    history.checker.retainedFound('never', 'value');
    history.checker.retainedFound('never', undefined);
    expect(history.faults).toEqual({ retained: 3 });
    history.checker.acknowledged('p', 4);
    history.checker.retainedFound('kept', 'value 3');
    expect(history.faults).toEqual({ retained: 4 });
  });

  test('tells the whole history of what went wrong, kills included', () => {
    const history = new History();
    const sent = message(1, { qos: 2 });
    history.checker.mark('kill 1');
    history.publish(sent);
    history.deliver(sent);
    history.checker.mark('kill 2');
    history.deliver(sent);
    history.checker.mark('kill 3');
    history.checker.mark('kill 4');
    const [violation] = history.checker.verdict().violations;
    expect(violation?.text).toBe(
      'taker: message 1 of p on load/1, QoS 2: 4 sent; 5 acknowledged; 6 to taker with QoS 2; 7 kill 2; ' +
        '8 to taker with QoS 2; 9 kill 3',
    );
  });

  test('refuses a history in which a message is sent twice as new', () => {
    const history = new History();
    history.publish(message(1));
    expect(() => history.checker.sent(message(1, { payload: 'another' }))).toThrow('twice');
    expect(() => history.checker.sent(message(2, { payload: 'p 1' }))).toThrow('two messages');
    expect(() => history.checker.acknowledged('p', 9)).toThrow('never sent');
    expect(() => history.checker.subscribed('p', 'unasked')).toThrow('not asked');
    expect(() => history.deliver(message(1), { taker: 'stranger' })).toThrow('no taker');
  });

  test.each([1, 2, 3, 4, 5])('counts planted faults among 2,000 messages exactly, seed %i', (seed) => {
    const random = new Random(seed);
    const history = new History();
    const planted = { lost: 0, duplicate: 0, phantom: 0, reordered: 0 };
    let held: SentMessage | undefined;
    for (let sequence = 0; sequence < 2000; sequence++) {
      const sent = message(sequence, { qos: random.chance(0.5) ? 1 : 2, topicName: 'load/1' });
      history.publish(sent);
      if (held !== undefined && held.qos === sent.qos) {
        history.deliver(sent);
        history.deliver(held);
        held = undefined;
        planted.reordered += 1;
        continue;
      }
      const fate = random.below(100);
      if (fate < 3) planted.lost += 1;
      else if (fate < 6 && held === undefined && sequence < 1900) held = sent;
      else history.deliver(sent);
      if (fate >= 6 && fate < 9 && sent.qos === 2) {
        history.deliver(sent);
        planted.duplicate += 1;
      }
      if (fate === 9) {
        history.deliver({ ...sent, payload: `${sent.payload}!` });
        planted.phantom += 1;
      }
    }
    expect(Math.min(...Object.values(planted))).toBeGreaterThan(5);
    expect(history.faults).toEqual(planted);
  });
});
