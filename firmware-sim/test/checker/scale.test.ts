import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Story } from './story.ts';

test('a million settled messages leave the heap as it was', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const story = new Story();
  const publishers = Array.from({ length: 100 }, (_, number) => story.up(number));
  const takers = [1000, 1001, 1002].map((number) => story.up(number));
  for (const taker of takers) story.subscribe(taker, 'load/#', 1);
  const publish = (count: number): number => {
    for (let message = 0; message < count; message++) {
      const publisher = publishers[message % publishers.length] as number;
      const sent = story.publish(publisher, `load/${publisher}`, { qos: 1 });
      for (const taker of takers) story.deliver(sent, taker);
    }
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = publish(100_000);
  const after = publish(1_000_000);
  expect(story.faults).toEqual({});
  expect(story.checker.outstanding).toBe(0);
  expect(after - before).toBeLessThan(2 ** 21);
});

test('a message with a thousand takers is followed to each of them', () => {
  const story = new Story();
  story.up(0);
  const takers = Array.from({ length: 1000 }, (_, number) => story.up(number + 1));
  for (const taker of takers) story.subscribe(taker, 'load/+', 2);
  const sent = story.publish(0, 'load/1', { qos: 2 });
  for (const taker of takers) if (taker % 100 !== 0) story.deliver(sent, taker);
  expect(story.checker.outstanding).toBe(10);
  for (const taker of [31, 32, 33, 999]) story.deliver(sent, taker);
  story.publish(0, 'load/1', { qos: 0 });
  expect(story.end()).toEqual({ duplicated: 4, lost: 10 });
  expect(story.checker.verdict().counts).toMatchObject({ owed: [0, 0, 1000], missedQos0: { unexcused: 1000 } });
  expect(story.checker.verdict().examples.filter(({ fault }) => fault === 'lost')).toHaveLength(10);
});

test('only the first twenty of a fault are told as examples', () => {
  const story = new Story();
  story.up(0);
  story.up(1);
  for (let count = 0; count < 50; count++) story.deliver(story.publish(0), 1);
  expect(story.checker.verdict().examples).toHaveLength(20);
  expect(story.end()).toEqual({ leaked: 50 });
});

test('facts of clients that nobody told are refused, since that is a mistake of the caller', () => {
  const story = new Story();
  story.up(1);
  expect(() => story.checker.acknowledged(2, 1, ++story.at)).toThrow('client 2 was never told');
  expect(() => story.checker.client(1, 'again', 'class')).toThrow('second time');
});
