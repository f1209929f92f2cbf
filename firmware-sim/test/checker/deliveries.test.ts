import { beforeEach, describe, expect, test } from 'vitest';
import { Story } from './story.ts';

const publisher = 0;
const taker = 1;
let story: Story;

/** A publisher and a taker of `load/#`, both with sessions that last. */
beforeEach(() => {
  story = new Story();
  story.persistent(publisher);
  story.persistent(taker);
  story.subscribe(taker, 'load/#');
});

describe('what was acknowledged', () => {
  test('is lost where it never comes, by QoS and class, and only that', () => {
    for (const qos of [0, 1, 2] as const) {
      const came = story.publish(publisher, 'load/1', { qos });
      story.publish(publisher, 'load/1', { qos });
      story.deliver(came, taker);
    }
    expect(story.checker.outstanding).toBe(2);
    expect(story.end()).toEqual({ lost: 2 });
    const { faults, counts, examples } = story.checker.verdict();
    expect(faults.lost).toEqual({ total: 2, byQos: [0, 1, 1], byClass: { 'class-1': 2 } });
    expect(counts).toMatchObject({ sent: [2, 2, 2], owed: [0, 2, 2], outstanding: [0, 0, 0] });
    expect(counts.missedQos0).toEqual({ unexcused: 1, excused: 0 });
    expect(examples[0]?.text).toContain('client-1: never got message 4 of client-0 on load/1, QoS 1');
  });

  test('is not owed before the acknowledgement, nor after a refusal, nor where it was given up', () => {
    const [waiting, refused, abandoned] = [1, 2, 3].map(() => story.send(publisher));
    story.checker.refused(publisher, refused!.sequence, 0x97, ++story.at);
    story.checker.abandoned(publisher, abandoned!.sequence, ++story.at);
    expect(story.checker.outstanding).toBe(0);
    story.deliver(abandoned!, taker);
    expect(story.end()).toEqual({});
    expect(waiting).toBeDefined();
    expect(story.checker.verdict().counts).toMatchObject({ refused: [0, 1, 0], abandoned: [0, 1, 0] });
  });

  test('is owed from SUBACK to UNSUBSCRIBE, and may come from SUBSCRIBE to UNSUBACK', () => {
    story.persistent(2);
    story.publish(publisher, 'churn');
    story.checker.subscribing(2, { topicFilter: 'churn', qos: 1 }, ++story.at);
    const early = story.publish(publisher, 'churn');
    story.checker.subscribed(2, 'churn', 1, ++story.at);
    story.publish(publisher, 'churn');
    story.checker.unsubscribing(2, 'churn', ++story.at);
    const late = story.publish(publisher, 'churn');
    for (const message of [early, late]) story.deliver(message, 2);
    story.checker.unsubscribed(2, 'churn', ++story.at);
    expect(story.checker.outstanding).toBe(1);
    const after = story.publish(publisher, 'churn');
    expect(story.end()).toEqual({ lost: 1 });
    story.deliver(after, 2);
    expect(story.faults).toEqual({ lost: 1, leaked: 1 });
  });

  test('is not owed where the subscription was left before the acknowledgement', () => {
    const message = story.send(publisher);
    story.unsubscribe(taker, 'load/#');
    story.acknowledge(message);
    expect(story.end()).toEqual({});
  });

  test('is not owed where QoS 2 was not released before the subscription was left', () => {
    const message = story.send(publisher, 'load/1', { qos: 2 });
    story.checker.acknowledged(publisher, message.sequence, ++story.at);
    expect(story.checker.outstanding).toBe(1);
    story.checker.unsubscribing(taker, 'load/#', ++story.at);
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('is not owed where the session of a publisher ends before it released QoS 2', () => {
    story.up(3);
    const message = story.send(3, 'load/1', { qos: 2 });
    story.checker.acknowledged(3, message.sequence, ++story.at);
    story.down(3);
    expect(story.end()).toEqual({});
  });

  test('is not owed to a subscription of QoS 0, or one that was refused', () => {
    story.unsubscribe(taker, 'load/#');
    story.subscribe(taker, 'load/#', 0);
    story.checker.subscribing(publisher, { topicFilter: '#', qos: 2 }, ++story.at);
    story.checker.subscribed(publisher, '#', 0x87, ++story.at);
    const message = story.publish(publisher, 'load/1', { qos: 2 });
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts.missedQos0).toEqual({ unexcused: 1, excused: 0 });
    story.deliver(message, publisher);
    expect(story.faults).toEqual({ leaked: 1 });
  });

  test('stays owed while a lasting session has no connection and the broker is down', () => {
    story.down(taker);
    const messages = [story.publish(publisher), story.publish(publisher)];
    story.checker.broker('down', ++story.at);
    story.checker.broker('up', ++story.at);
    story.wait(60_000).persistent(taker, true);
    story.deliver(messages[0]!, taker);
    expect(story.checker.outstanding).toBe(1);
    expect(story.end()).toEqual({ lost: 1 });
    expect(story.checker.verdict().counts).toMatchObject({ brokerRestarts: 1, sessionsResumed: 1 });
  });

  test('is waived when a session ends with its connection', () => {
    story.up(2);
    story.subscribe(2, 'clean/#');
    story.publish(publisher, 'clean/1');
    story.down(2);
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('is neither lost nor forgotten for who is not there at the end', () => {
    story.down(taker);
    story.publish(publisher);
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts.outstanding).toEqual([0, 1, 0]);
  });

  test('is not lost where it may have expired', () => {
    story.publish(publisher, 'load/1', { expirySeconds: 2 });
    story.publish(publisher, 'load/1', { expirySeconds: 600 });
    expect(story.end()).toEqual({ lost: 1 });
  });

  test('is not judged at the end when it was acknowledged only just now', () => {
    story.publish(publisher);
    story.checker.finish(++story.at, 1000);
    expect(story.faults).toEqual({});
    expect(story.checker.outstanding).toBe(1);
  });
});

describe('a further delivery', () => {
  test('is a duplicate with QoS 2 and with QoS 0, and a repetition with QoS 1', () => {
    for (const qos of [0, 1, 2] as const) {
      const message = story.publish(publisher, 'load/1', { qos });
      story.deliver(message, taker);
      story.deliver(message, taker, { dup: true });
      story.deliver(message, taker);
    }
    expect(story.end()).toEqual({ duplicated: 4 });
    const { faults, counts } = story.checker.verdict();
    expect(faults.duplicated.byQos).toEqual([2, 0, 2]);
    expect(counts.repeated).toEqual({ total: 2, withoutDup: 1 });
    expect(counts.delivered).toEqual([3, 3, 3]);
  });

  test('is a duplicate with QoS 2 also of a message that was given up or refused', () => {
    const [one, two] = [story.send(publisher, 'load/1', { qos: 2 }), story.send(publisher, 'load/1', { qos: 2 })];
    story.checker.abandoned(publisher, one.sequence, ++story.at);
    story.checker.refused(publisher, two.sequence, 0x80, ++story.at);
    for (const message of [one, two, one, two]) story.deliver(message, taker);
    expect(story.end()).toEqual({ duplicated: 2 });
  });

  test('is a duplicate however long ago the first one was', () => {
    const old = story.publish(publisher, 'load/1', { qos: 2 });
    story.deliver(old, taker);
    for (let count = 0; count < 70_000; count++) story.deliver(story.publish(publisher), taker);
    story.deliver(old, taker);
    expect(story.end()).toEqual({ duplicated: 1 });
  });

  test('is in order for each subscription that matches', () => {
    story.subscribe(taker, 'load/+');
    const message = story.publish(publisher, 'load/1', { qos: 2 });
    for (let copy = 0; copy < 2; copy++) story.deliver(message, taker);
    expect(story.faults).toEqual({});
    story.deliver(message, taker);
    expect(story.end()).toEqual({ duplicated: 1 });
  });

  test('with QoS 0 is in order where its publisher sent QoS 1 again, and where the connection is another', () => {
    story.subscribe(taker, 'load/#', 0);
    const resent = story.publish(publisher);
    for (let copy = 0; copy < 2; copy++) story.deliver(resent, taker, { qos: 0 });
    const across = story.publish(publisher, 'load/1', { qos: 0 });
    story.deliver(across, taker);
    story.down(taker);
    story.persistent(taker, true);
    story.deliver(across, taker);
    expect(story.end()).toEqual({});
  });
});

describe('order', () => {
  test('is judged by publisher, topic and QoS, and on first deliveries', () => {
    const sent = [1, 2, 3, 4].map(() => story.publish(publisher, 'load/1', { qos: 2 }));
    const otherQos = story.publish(publisher, 'load/1');
    const otherTopic = story.publish(publisher, 'load/2', { qos: 2 });
    story.deliver(otherTopic, taker);
    story.deliver(otherQos, taker);
    for (const place of [0, 2, 1, 3]) story.deliver(sent[place]!, taker);
    expect(story.faults).toEqual({ reordered: 1 });
    story.deliver(otherQos, taker, { dup: true });
    expect(story.end()).toEqual({ reordered: 1 });
  });

  test('is not judged for what the taker was not subscribed to when it was sent', () => {
    const before = story.send(publisher, 'other/1');
    story.subscribe(taker, 'other/#');
    const after = story.publish(publisher, 'other/1');
    story.deliver(after, taker);
    story.deliver(before, taker);
    expect(story.faults).toEqual({});
  });
});

describe('a delivery that was not asked for', () => {
  test('is a leak to who never subscribed, and to the sender with No Local', () => {
    story.up(2);
    const message = story.publish(publisher);
    story.deliver(message, taker);
    story.deliver(message, 2);
    story.subscribe(publisher, 'load/+', 2, { noLocal: true });
    const own = story.publish(publisher);
    expect(story.checker.outstanding).toBe(1);
    story.deliver(own, taker);
    story.deliver(own, publisher);
    expect(story.end()).toEqual({ leaked: 2 });
    expect(story.checker.verdict().faults.leaked.byClass).toEqual({ 'class-0': 1, 'class-2': 1 });
  });

  test('is a phantom where nobody sent it, on another topic, and of a client that there is not', () => {
    const message = story.publish(publisher);
    story.deliver({ ...message, topicName: 'load/2' }, taker);
    story.deliver({ ...message, sequence: 99 }, taker);
    story.deliver({ ...message, client: 77 }, taker);
    story.deliver(message, taker);
    expect(story.end()).toEqual({ phantom: 3 });
  });

  test('does not count where it is of another run, and is not taken for damage where others publish', () => {
    const foreign = story.publish(publisher);
    story.deliver(foreign, taker);
    story.deliver(foreign, taker, {}, { kind: 'foreign', sequence: 5 });
    const owed = story.publish(publisher);
    story.deliver(owed, taker, {}, { kind: 'foreign', sequence: 0, client: 0 });
    story.deliver(owed, taker);
    story.deliver(owed, taker, { topicName: '$SYS/uptime' }, { kind: 'foreign', sequence: 0 });
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts.foreign).toBe(3);
  });
});

describe('a damaged payload', () => {
  test('stands for the message that its stamp names, or else for the oldest that is owed', () => {
    const [one, two, three] = [1, 2, 3].map(() => story.publish(publisher));
    story.deliver(two!, taker, {}, { kind: 'damaged' });
    story.deliver(one!, taker, {}, { kind: 'damaged', sequence: 4_000_000 });
    story.deliver(three!, taker, {}, { kind: 'foreign', sequence: 0, client: 0 });
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({ corrupted: 3 });
  });

  test('stands for another one when the one that its stamp names comes after all', () => {
    const [one, two] = [1, 2].map(() => story.publish(publisher, 'load/1', { qos: 2 }));
    story.deliver(one!, taker, {}, { kind: 'damaged', sequence: two!.sequence });
    story.deliver(two!, taker);
    expect(story.end()).toEqual({ corrupted: 1 });
  });

  test.each([0, 1, 2] as const)('counts with the QoS that its stamp tells, %i, whatever else is owed', (qos) => {
    const others = ([0, 1, 2] as const).filter((other) => other !== qos);
    const owed = others.map((other) => story.publish(publisher, 'load/1', { qos: other }));
    const damaged = story.publish(publisher, 'load/1', { qos });
    story.deliver(damaged, taker, { qos: 0 }, { kind: 'damaged', sequence: 4_000_000 });
    for (const message of owed) story.deliver(message, taker);
    const byQos = [0, 0, 0];
    byQos[qos] = 1;
    expect(story.end()).toEqual({ corrupted: 1 });
    expect(story.checker.verdict().faults.corrupted.byQos).toEqual(byQos);
  });

  test('counts with QoS 0 where its message is settled, and takes nothing that is owed from anybody', () => {
    const settled = story.publish(publisher, 'load/1', { qos: 0 });
    story.deliver(settled, taker);
    const owed = story.publish(publisher);
    story.deliver(settled, taker, {}, { kind: 'damaged' });
    expect(story.checker.outstanding).toBe(1);
    story.deliver(owed, taker);
    expect(story.end()).toEqual({ corrupted: 1 });
    expect(story.checker.verdict().faults.corrupted.byQos).toEqual([1, 0, 0]);
  });
});

describe('an empty payload', () => {
  test('is attributed to the oldest empty message on its topic', () => {
    const clears = [1, 2].map(() => story.publish(publisher, 'load/1', { isEmpty: true, retain: true }));
    story.deliver(clears[0]!, taker);
    expect(story.checker.outstanding).toBe(1);
    story.deliver(clears[1]!, taker);
    expect(story.end()).toEqual({});
  });

  test('is damage where no empty message was sent', () => {
    const message = story.publish(publisher);
    story.deliver({ ...message, isEmpty: true }, taker);
    expect(story.end()).toEqual({ corrupted: 1 });
  });
});

describe('a late delivery', () => {
  test('is one that took too long though taker and broker were there', () => {
    const [late, timely] = [story.publish(publisher), story.publish(publisher)];
    story.wait(31_000);
    story.deliver(late, taker);
    expect(story.faults).toEqual({ late: 1 });
    story.down(taker);
    story.wait(31_000).persistent(taker, true);
    story.deliver(timely, taker);
    const restarted = story.publish(publisher);
    story.wait(31_000);
    story.checker.broker('down', ++story.at);
    story.checker.broker('up', ++story.at);
    story.deliver(restarted, taker);
    expect(story.end()).toEqual({ late: 1 });
  });

  test('is not late before its acknowledgement', () => {
    const message = story.send(publisher);
    story.wait(40_000);
    story.deliver(message, taker);
    story.acknowledge(message);
    expect(story.end()).toEqual({});
  });
});

describe('QoS 0 that did not come', () => {
  test('is excused where a connection or the broker ended meanwhile', () => {
    story.publish(publisher, 'load/1', { qos: 0 });
    story.down(publisher);
    story.persistent(publisher, true);
    story.publish(publisher, 'load/1', { qos: 0 });
    story.down(taker);
    story.publish(publisher, 'load/1', { qos: 0 }); // Nobody is there: not even hoped for.
    story.persistent(taker, true);
    story.wait(11_000).publish(publisher, 'load/1', { qos: 0 });
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts.missedQos0).toEqual({ unexcused: 1, excused: 2 });
  });
});
