import { expect, test } from 'vitest';
import { MetricsBoard } from '../../src/run/metrics-board.ts';

test('what is counted in a second is read after it, and the next second begins at nothing', () => {
  const board = new MetricsBoard(['a', 'b']);
  board.of('a').connects += 2;
  board.of('a').sent[1] += 3;
  board.of('b').delivery.record(5);
  const first = board.turn();
  expect([first.get('a')?.connects, first.get('a')?.sent, first.get('b')?.delivery.count]).toEqual([2, [0, 3, 0], 1]);
  expect(board.of('a').connects).toBe(0);
  expect(board.turn().get('a')?.connects).toBe(0);
});

test('the second that ended stays as it was while the next one is counted', () => {
  const board = new MetricsBoard(['a']);
  board.of('a').connects = 1;
  const first = board.turn();
  board.of('a').connects = 20;
  board.of('a').delivery.record(1);
  expect([first.get('a')?.connects, first.get('a')?.delivery.count]).toEqual([1, 0]);
  const second = board.turn();
  expect([second.get('a')?.connects, second.get('a')?.delivery.count]).toEqual([20, 1]);
});

test('nothing is counted twice, however long it goes on', () => {
  const board = new MetricsBoard(['a']);
  let all = 0;
  for (let second = 1; second <= 10; second++) {
    board.of('a').connects += second;
    all += board.turn().get('a')?.connects ?? 0;
  }
  expect(all).toBe(55);
});

test('a class may have any name', () => {
  const board = new MetricsBoard(['__proto__', 'constructor']);
  board.of('__proto__').connects = 4;
  const turn = board.turn();
  expect([...turn.keys()]).toEqual(['__proto__', 'constructor']);
  expect(turn.get('__proto__')?.connects).toBe(4);
});
