import { beforeEach, describe, expect, test } from 'vitest';
import { Story } from './story.ts';

const publisher = 0;
let story: Story;

beforeEach(() => {
  story = new Story();
  story.up(publisher);
});

describe('Session Present', () => {
  test('has to be 0 after a clean start', () => {
    story.up(1, { cleanStart: true, expirySeconds: 60 }, true);
    story.down(1);
    story.up(1, { cleanStart: true }, false);
    expect(story.end()).toEqual({ sessionPresent: 1 });
    expect(story.checker.verdict().faults.sessionPresent.byClass).toEqual({ 'class-1': 1 });
  });

  test('may be either on the first connection, since a run before may have left a session', () => {
    story.persistent(1, true);
    story.persistent(2, false);
    expect(story.end()).toEqual({});
  });

  test('has to be 1 within the expiry, 0 after it, and may be either in between', () => {
    const terms = { expirySeconds: 100 };
    for (const [number, afterMs] of [80_000, 80_000, 100_000, 100_000, 120_000, 120_000].entries()) {
      const client = 1 + number;
      story.persistent(client, false, terms);
      story.down(client);
      story.wait(afterMs);
      story.persistent(client, number % 2 === 1, terms);
    }
    expect(story.end()).toEqual({ sessionPresent: 2 });
    expect(story.checker.verdict().faults.sessionPresent.byClass).toEqual({ 'class-1': 1, 'class-6': 1 });
  });

  test('has to be 0 when the session before ended with its connection', () => {
    for (const [client, how] of [[1, 'closed'] as const, [2, 'silent'] as const]) {
      story.persistent(client, false, { expirySeconds: 0 });
      story.down(client, how);
      story.persistent(client, true, { expirySeconds: 0 });
    }
    expect(story.end()).toEqual({ sessionPresent: 1 }); // Not known of the silent one: it may have been taken over.
  });

  test('counts expiry from when the broker can know of the end', () => {
    const terms = { expirySeconds: 10, keepAliveSeconds: 60 };
    story.persistent(1, false, terms);
    story.down(1, 'silent');
    story.wait(60_000);
    story.persistent(1, true, terms);
    story.down(1, 'silent');
    story.wait(160_000);
    story.persistent(1, true, terms);
    expect(story.end()).toEqual({ sessionPresent: 1 });
  });

  test('may be either after a CONNECT without an answer', () => {
    story.persistent(1, false, { expirySeconds: 60 });
    story.down(1);
    const clean = { cleanStart: true, expirySeconds: 0, keepAliveSeconds: 0 };
    story.checker.connecting(1, clean, undefined, ++story.at);
    story.down(1);
    story.persistent(1, true, { expirySeconds: 60 });
    expect(story.end()).toEqual({});
  });

  test('may be either after a DISCONNECT that ended the session, if it was heard', () => {
    for (const client of [1, 2]) {
      story.persistent(client, false, { expirySeconds: 60 });
      story.leave(client, { expirySeconds: 0 });
      story.persistent(client, client === 1, { expirySeconds: 60 });
    }
    expect(story.end()).toEqual({});
  });

  test('need not be 0 where the broker was down when the session should have expired', () => {
    story.persistent(1, false, { expirySeconds: 10 });
    story.down(1);
    story.checker.broker('down', ++story.at);
    story.wait(60_000);
    story.checker.broker('up', ++story.at);
    story.persistent(1, true, { expirySeconds: 10 });
    expect(story.end()).toEqual({});
  });
});

describe('a session that the broker lost', () => {
  test('is one fault, and what was owed to it is lost', () => {
    story.persistent(1);
    story.subscribe(1, 'load/#');
    story.down(1);
    for (let count = 0; count < 3; count++) story.publish(publisher);
    story.persistent(1, false);
    story.publish(publisher); // The subscription is gone, as far as the client knows.
    story.subscribe(1, 'load/#');
    const later = story.publish(publisher);
    story.deliver(later, 1);
    expect(story.end()).toEqual({ sessionPresent: 1, lost: 3 });
  });

  test('is only one fault where the broker lied, and delivers all the same', () => {
    story.persistent(1);
    story.subscribe(1, 'load/#');
    story.down(1);
    const message = story.publish(publisher);
    story.persistent(1, false);
    story.deliver(message, 1);
    expect(story.end()).toEqual({ sessionPresent: 1 });
  });

  test('that may have expired is nobody’s fault', () => {
    story.persistent(1, false, { expirySeconds: 10 });
    story.subscribe(1, 'load/#');
    story.down(1);
    story.publish(publisher);
    story.wait(10_000);
    story.persistent(1, false, { expirySeconds: 10 });
    expect(story.end()).toEqual({});
  });
});

describe('a new session', () => {
  test('gets nothing of what the one before had subscribed to', () => {
    story.up(1);
    story.subscribe(1, 'load/#');
    const message = story.publish(publisher);
    story.down(1);
    story.up(1);
    story.deliver(message, 1);
    expect(story.end()).toEqual({ leaked: 1 });
  });
});

describe('a shared subscription', () => {
  const filter = '$share/group/load/#';

  test('is one taker: each message is owed once, whoever gets it', () => {
    for (const member of [1, 2]) {
      story.persistent(member);
      story.subscribe(member, filter);
    }
    const sent = [1, 2, 3].map(() => story.publish(publisher, 'load/1', { qos: 2 }));
    expect(story.checker.outstanding).toBe(3);
    story.deliver(sent[0]!, 1);
    story.deliver(sent[1]!, 2);
    story.deliver(sent[1]!, 1);
    expect(story.end()).toEqual({ lost: 1, duplicated: 1 });
  });

  test('may hand QoS 1 on to another member', () => {
    for (const member of [1, 2]) {
      story.persistent(member);
      story.subscribe(member, filter);
    }
    const message = story.publish(publisher);
    story.deliver(message, 1);
    story.down(1);
    story.deliver(message, 2);
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts.repeated).toEqual({ total: 1, withoutDup: 0 });
  });

  test('owes QoS 1 to the others when a member leaves, and QoS 2 only what was sent since', () => {
    for (const member of [1, 2]) {
      story.up(member);
      story.subscribe(member, filter);
    }
    for (const qos of [1, 2] as const) story.publish(publisher, 'load/1', { qos });
    story.down(1);
    story.wait(2000);
    story.publish(publisher, 'load/1', { qos: 2 });
    expect(story.end()).toEqual({ lost: 2 });
    expect(story.checker.verdict().faults.lost.byQos).toEqual([0, 1, 1]);
  });

  test('is owed nothing when all members are gone', () => {
    story.up(1);
    story.subscribe(1, filter);
    story.persistent(2);
    story.subscribe(2, filter);
    story.publish(publisher);
    story.down(1);
    story.unsubscribe(2, filter);
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('stays owed while its members have no connection', () => {
    story.persistent(1);
    story.subscribe(1, filter);
    const message = story.publish(publisher);
    story.down(1);
    story.wait(60_000).persistent(1, true);
    expect(story.checker.outstanding).toBe(1);
    story.deliver(message, 1);
    expect(story.end()).toEqual({});
  });

  test('is a taker of its own beside a member’s own subscription', () => {
    for (const member of [1, 2]) {
      story.persistent(member);
      story.subscribe(member, filter);
    }
    story.subscribe(1, 'load/1');
    const [mine, others, missing] = [1, 2, 3].map(() => story.publish(publisher, 'load/1', { qos: 2 }));
    for (let copy = 0; copy < 2; copy++) story.deliver(mine!, 1);
    for (const taker of [1, 2]) story.deliver(others!, taker);
    story.deliver(missing!, 1);
    story.deliver(mine!, 1);
    expect(story.end()).toEqual({ lost: 1, duplicated: 1 });
  });

  test('keeps each member in order while nobody comes or goes', () => {
    for (const member of [1, 2]) {
      story.persistent(member);
      story.subscribe(member, filter);
    }
    const [one, two, three] = [1, 2, 3].map(() => story.publish(publisher));
    story.deliver(three!, 2);
    story.deliver(two!, 1);
    story.deliver(one!, 1);
    expect(story.faults).toEqual({ reordered: 1 });
    const [four, five] = [1, 2].map(() => story.publish(publisher));
    story.deliver(five!, 1);
    story.down(2);
    story.deliver(four!, 1);
    expect(story.faults).toEqual({ reordered: 1 });
  });
});
