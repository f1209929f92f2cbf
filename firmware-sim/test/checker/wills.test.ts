import { beforeEach, describe, expect, test } from 'vitest';
import type { WillMessage } from '../../src/checker/witness.ts';
import { Story, type Told } from './story.ts';

const owner = 0;
const taker = 1;
let story: Story;
/** The broker has a session of the owner. */
let isKnown = false;

/** A taker of all wills. */
beforeEach(() => {
  story = new Story();
  isKnown = false;
  story.client(owner);
  story.persistent(taker);
  story.subscribe(taker, 'gone/#');
});

/** The owner connects with a will. */
function withWill(fields: Partial<WillMessage> = {}, keepAliveSeconds = 60): Told {
  const will = story.will(owner, fields);
  story.persistent(owner, isKnown, { keepAliveSeconds }, will);
  isKnown = true;
  return { ...will, client: owner };
}

describe('a will', () => {
  test('is owed once when the connection ends without DISCONNECT, or with reason code 4', () => {
    for (const end of [() => story.down(owner), () => story.leave(owner, { withWill: true })]) {
      const will = withWill({ qos: 1 });
      end();
      expect(story.checker.outstanding).toBe(1);
      story.deliver(will, taker);
      story.wait(5000);
    }
    expect(story.end()).toEqual({});
    expect(story.checker.verdict().counts).toMatchObject({ willsDue: 2, sent: [0, 2, 0], owed: [0, 2, 0] });
  });

  test.each([0, 1, 2] as const)('of QoS %i that is not published is one fault, however many miss it', (qos) => {
    story.persistent(2);
    story.subscribe(2, 'gone/+');
    withWill({ qos });
    story.down(owner);
    expect(story.end()).toEqual({ will: 1 });
    expect(story.checker.verdict().faults.will).toMatchObject({ total: 1, byClass: { 'class-0': 1 } });
  });

  test('that gets to some of its takers only is a fault for each of the others', () => {
    for (const number of [2, 3]) {
      story.persistent(number);
      story.subscribe(number, 'gone/+');
    }
    const will = withWill();
    story.down(owner);
    story.deliver(will, taker);
    expect(story.end()).toEqual({ will: 2 });
  });

  test('that is published twice is one fault, and QoS 1 sent again is none', () => {
    story.persistent(2);
    story.subscribe(2, 'gone/+');
    const twice = withWill({ qos: 2 });
    story.down(owner);
    for (const number of [taker, 2, taker, 2]) story.deliver(twice, number);
    expect(story.faults).toEqual({ will: 1 });
    const again = withWill();
    story.down(owner);
    for (const number of [taker, 2]) story.deliver(again, number);
    story.deliver(again, taker, { dup: true });
    story.deliver(again, 2);
    expect(story.end()).toEqual({ will: 2 });
    expect(story.checker.verdict().counts.repeated.total).toBe(1);
  });

  test('must not be published after DISCONNECT', () => {
    const [one, two] = [1, 2].map(() => {
      const will = withWill();
      story.wait(3000).leave(owner);
      return will;
    });
    story.deliver(two!, taker);
    expect(story.end()).toEqual({ will: 1 });
    expect(one).toBeDefined();
  });

  test('must not be published while its client is connected', () => {
    const will = withWill();
    story.deliver(will, taker);
    expect(story.faults).toEqual({});
    expect(story.end()).toEqual({ will: 1 });
  });

  test('may be seen a little before its client sees the end of the connection', () => {
    const will = withWill();
    story.wait(10_000);
    story.deliver(will, taker);
    story.down(owner);
    expect(story.end()).toEqual({});
  });

  test('may come or not when DISCONNECT was perhaps not heard', () => {
    const will = withWill();
    story.checker.disconnecting(owner, false, undefined, ++story.at);
    story.down(owner, 'silent');
    story.deliver(will, taker);
    expect(story.end()).toEqual({});
  });

  test('may come or not when the broker dies under its connection, and its CONNECT was not answered', () => {
    const killed = withWill();
    story.wait(10_000);
    story.checker.broker('down', ++story.at);
    story.down(owner);
    story.checker.broker('up', ++story.at);
    const unanswered = story.will(owner);
    const terms = { cleanStart: false, expirySeconds: 60, keepAliveSeconds: 60 };
    story.checker.connecting(owner, terms, unanswered, ++story.at);
    story.down(owner);
    for (const will of [killed, { ...unanswered, client: owner }]) story.deliver(will, taker);
    expect(story.faults).toEqual({});
    story.deliver(killed, taker);
    expect(story.end()).toEqual({ will: 1 });
  });

  test('is not owed to who subscribed later, nor to who left at the same time', () => {
    withWill();
    story.persistent(2);
    story.subscribe(2, 'gone/+');
    story.down(owner);
    story.persistent(3);
    story.subscribe(3, 'gone/+');
    story.unsubscribe(2, 'gone/+');
    story.unsubscribe(taker, 'gone/#');
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('of QoS 0 is not owed to who lost the connection meanwhile', () => {
    withWill({ qos: 0 });
    story.down(owner);
    story.down(taker);
    story.persistent(taker, true);
    expect(story.end()).toEqual({});
  });

  test('is a leak to who did not subscribe', () => {
    const will = withWill();
    story.up(2);
    story.down(owner);
    for (const number of [taker, 2]) story.deliver(will, number);
    expect(story.end()).toEqual({ leaked: 1 });
  });
});

describe('a will after a silent end', () => {
  test('is due when the keep alive has run out one and a half times', () => {
    const will = withWill({}, 10);
    story.down(owner, 'silent');
    story.wait(14_000);
    expect(story.checker.outstanding).toBe(0);
    story.wait(2000);
    expect(story.checker.outstanding).toBe(1);
    story.deliver(will, taker);
    expect(story.end()).toEqual({});
  });

  test('is due when the client connects again', () => {
    withWill({}, 0);
    story.down(owner, 'silent');
    story.persistent(owner, true);
    expect(story.checker.outstanding).toBe(1);
    expect(story.end()).toEqual({ will: 1 });
  });
});

describe('a will with a delay', () => {
  test('is due after it', () => {
    withWill({ delaySeconds: 10 });
    story.down(owner);
    story.wait(9000);
    expect(story.checker.outstanding).toBe(0);
    story.wait(2000);
    expect(story.checker.outstanding).toBe(1);
    expect(story.end()).toEqual({ will: 1 });
  });

  test('must not come when the client is back in time', () => {
    const will = withWill({ delaySeconds: 10 });
    story.down(owner);
    story.wait(5000).persistent(owner, true);
    story.wait(20_000);
    expect(story.faults).toEqual({});
    story.deliver(will, taker);
    expect(story.end()).toEqual({ will: 1 });
  });

  test('may come or not when the client is back at about that time', () => {
    const will = withWill({ delaySeconds: 10 });
    story.down(owner);
    story.wait(9500).persistent(owner, true);
    story.deliver(will, taker);
    expect(story.end()).toEqual({});
  });

  test('is due at the end of the session, where that comes first', () => {
    const will = story.will(owner, { delaySeconds: 60 });
    story.persistent(owner, false, { expirySeconds: 5 }, will);
    story.down(owner);
    story.wait(6000);
    expect(story.checker.outstanding).toBe(1);
    expect(story.end()).toEqual({ will: 1 });
  });
});
