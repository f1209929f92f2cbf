import { beforeEach, describe, expect, test } from 'vitest';
import type { SubscribeOptions } from '../../src/client/client.ts';
import { Story, type Told } from './story.ts';

const publisher = 0;
const taker = 1;
let story: Story;

beforeEach(() => {
  story = new Story();
  story.persistent(publisher);
  story.persistent(taker);
});

function retain(topicName = 'kept/1', fields: Partial<Told> = {}): Told {
  return story.publish(publisher, topicName, { retain: true, ...fields });
}

/** The taker gets a message as retained. */
function replay(message: Told, fields: { dup?: boolean } = {}): void {
  story.deliver(message, taker, { retain: true, ...fields });
}

function look(options: Partial<SubscribeOptions> = {}): void {
  story.subscribe(taker, 'kept/#', 2, options);
}

describe('a new subscription', () => {
  test('has to get what each topic surely retains', () => {
    const [one, two] = [retain('kept/1'), retain('kept/2')];
    retain('other/1');
    look();
    expect(story.checker.outstanding).toBe(2);
    replay(one);
    expect(story.end()).toEqual({ retained: 1 });
    const { faults, counts } = story.checker.verdict();
    expect(faults.retained).toEqual({ total: 1, byQos: [0, 1, 0], byClass: { 'class-1': 1 } });
    expect(counts.retainedChecked).toBe(2);
    expect(two).toBeDefined();
  });

  test('may get the last value or a later one, and no earlier one', () => {
    const [stale, last] = [retain(), retain()];
    look();
    const next = retain();
    replay(last);
    story.deliver(next, taker);
    expect(story.faults).toEqual({});
    look();
    replay(next);
    look();
    replay(stale);
    expect(story.end()).toEqual({ retained: 1 });
  });

  test('may get any of those that were under way at once', () => {
    story.persistent(2);
    const [one, two] = [publisher, 2].map((client) => story.send(client, 'kept/1', { retain: true }));
    for (const message of [one!, two!]) story.acknowledge(message);
    for (const message of [one!, two!]) {
      look();
      replay(message);
      story.unsubscribe(taker, 'kept/#');
    }
    expect(story.end()).toEqual({});
  });

  test('need not get what was not acknowledged, may be cleared, is QoS 0, or expires', () => {
    story.send(publisher, 'kept/1', { retain: true });
    retain('kept/2');
    story.send(publisher, 'kept/2', { retain: true, isEmpty: true });
    retain('kept/3', { qos: 0 });
    retain('kept/4', { expirySeconds: 5 });
    retain('kept/5', { isEmpty: true });
    retain('kept/6');
    retain('kept/6', { qos: 0 });
    look();
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('must not get what was cleared, nor an empty message', () => {
    const cleared = retain();
    retain('kept/1', { isEmpty: true });
    look();
    replay(cleared);
    story.deliver({ ...cleared, isEmpty: true }, taker, { retain: true });
    expect(story.end()).toEqual({ retained: 2 });
  });

  test('knows of QoS 0 only what the same client replaced later', () => {
    const early = retain('kept/1', { qos: 0 });
    retain();
    const late = retain('kept/1', { qos: 0 });
    look();
    replay(late);
    expect(story.faults).toEqual({});
    replay(early);
    expect(story.end()).toEqual({ retained: 1 });
  });

  test('gets nothing with Retain Handling 2, and with 1 only for a filter it did not have', () => {
    const value = retain();
    look({ retainHandling: 2 });
    expect(story.checker.outstanding).toBe(0);
    look({ retainHandling: 1 });
    expect(story.checker.outstanding).toBe(0);
    story.unsubscribe(taker, 'kept/#');
    look({ retainHandling: 1 });
    expect(story.checker.outstanding).toBe(1);
    replay(value);
    look({ retainHandling: 0 });
    expect(story.end()).toEqual({ retained: 1 });
  });

  test('is owed nothing when it is refused, shared, or its connection ends', () => {
    retain();
    story.checker.subscribing(taker, { topicFilter: 'kept/1', qos: 1 }, ++story.at);
    story.checker.subscribed(taker, 'kept/1', 0x80, ++story.at);
    story.subscribe(taker, '$share/group/kept/#');
    expect(story.checker.outstanding).toBe(0);
    look();
    expect(story.checker.outstanding).toBe(1);
    story.down(taker);
    expect(story.checker.outstanding).toBe(0);
    expect(story.end()).toEqual({});
  });

  test('is owed nothing that was cleared before it came', () => {
    retain();
    look();
    story.deliver(retain('kept/1', { isEmpty: true }), taker);
    expect(story.end()).toEqual({});
  });

  test('has to get its messages also where it is left at once, unless they are many', () => {
    retain();
    look();
    story.unsubscribe(taker, 'kept/#');
    expect(story.end()).toEqual({ retained: 1 });
    for (let topic = 0; topic < 100; topic++) retain(`many/${topic}`);
    story.subscribe(taker, 'many/#');
    story.unsubscribe(taker, 'many/#');
    expect(story.end()).toEqual({ retained: 1 });
  });

  test('takes a damaged one for what it is owed', () => {
    const value = retain();
    look();
    story.deliver(value, taker, { retain: true }, { kind: 'damaged' });
    expect(story.end()).toEqual({ corrupted: 1 });
  });
});

describe('retained messages', () => {
  test('are no live deliveries: they are in no order, and do not stand for what is owed', () => {
    look();
    const [one, two] = [retain(), retain()];
    story.deliver(two, taker);
    story.subscribe(taker, 'kept/1');
    replay(two);
    expect(story.faults).toEqual({});
    expect(story.end()).toEqual({ lost: 1 });
    expect(one).toBeDefined();
  });

  test('keep their flag on live deliveries with Retain As Published', () => {
    look({ retainAsPublished: true });
    const sent = [retain(), retain()];
    story.wait(20_000);
    for (const message of sent) story.deliver(message, taker, { retain: true });
    expect(story.checker.outstanding).toBe(0);
    story.deliver(sent[1]!, taker, { retain: true, qos: 2 });
    expect(story.end()).toEqual({ duplicated: 1 });
  });

  test('without a subscription are leaks', () => {
    replay(retain());
    expect(story.end()).toEqual({ leaked: 1 });
  });

  test('that are sent again on the next connection are not judged by what the topic holds then', () => {
    const first = retain();
    look();
    replay(first);
    story.down(taker);
    const second = retain();
    story.persistent(taker, true);
    replay(first, { dup: true });
    story.deliver(second, taker);
    expect(story.end()).toEqual({});
  });

  test('may be a will once it may have been published', () => {
    story.client(2);
    const will = story.will(2, { topicName: 'kept/1', retain: true });
    story.up(2, {}, false, will);
    const birth = story.publish(2, 'kept/1', { retain: true });
    story.down(2);
    for (const message of [birth, { ...will, client: 2 }]) {
      look();
      replay(message);
      story.unsubscribe(taker, 'kept/#');
    }
    expect(story.end()).toEqual({});
  });
});
