import { expect, test } from 'vitest';
import { nearest } from '../../src/lib/nearest.ts';

const names = ['receiveMaximum', 'maximumQos', 'port', 'host', 'log'];

test.each([
  ['recieveMaximum', 'receiveMaximum'],
  ['RECEIVEMAXIMUM', 'receiveMaximum'],
  ['maxQos', undefined],
  ['maximumQoS', 'maximumQos'],
  ['prot', 'port'],
  ['por', 'port'],
  ['foo', undefined],
  ['', undefined],
  ['x'.repeat(10_000), undefined],
])('the nearest to %j is %j', (word, expected) => {
  expect(nearest(word.slice(0, 200), names)).toBe(expected);
});

test('of several near ones the nearest is taken, of equals the first', () => {
  expect(nearest('pora', ['pond', 'porb', 'porc'])).toBe('porb');
  expect(nearest('anything', [])).toBeUndefined();
});
