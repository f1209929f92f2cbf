import { expect, test } from 'vitest';
import { addressOf } from '../../src/connection/enforce-bans.ts';

test('the address of a peer is without its port, and a Unix socket has none, however it is called', () => {
  const of = (remoteAddress: string, transport = 'tcp'): string => addressOf({ remoteAddress, transport });
  expect(of('192.0.2.1:51234')).toBe('192.0.2.1');
  expect(of('[2001:db8::1]:51234', 'tls')).toBe('2001:db8::1');
  expect(of('/run/trellis.sock', 'unix')).toBe('');
  expect(of('192.0.2.1:1', 'unix')).toBe('');
});
