import { describe, expect, test } from 'vitest';
import { addressKey, AddressRanges, parseAddress, parseAddressRange } from '../../src/lib/ip-address.ts';

describe('an address', () => {
  test.each([
    ['1.2.3.4', 0xffff_0102_0304n],
    ['255.255.255.255', 0xffff_ffff_ffffn],
    ['::', 0n],
    ['::1', 1n],
    ['::ffff:1.2.3.4', 0xffff_0102_0304n],
    ['::ffff:102:304', 0xffff_0102_0304n],
    ['2001:db8::1', 0x2001_0db8_0000_0000_0000_0000_0000_0001n],
    ['2001:db8:1:2:3:4:5:6', 0x2001_0db8_0001_0002_0003_0004_0005_0006n],
    ['[2001:db8::1]', 0x2001_0db8_0000_0000_0000_0000_0000_0001n],
    ['fe80::1%eth0', 0xfe80_0000_0000_0000_0000_0000_0000_0001n],
    ['1::', 0x0001_0000_0000_0000_0000_0000_0000_0000n],
  ])('%s is its bits', (text, bits) => {
    expect(parseAddress(text)).toBe(bits);
  });

  test.each([
    '',
    'unknown',
    '/run/mqtt.sock',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '::1::',
    ':',
    '12345::',
    '[::1',
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeUndefined();
    expect(addressKey(text)).toBe('');
  });

  test('counts by itself with IPv4, however it is written, and by its first 64 bits with IPv6', () => {
    expect(addressKey('10.0.0.1')).toBe('10.0.0.1');
    expect(addressKey('::ffff:10.0.0.1')).toBe('10.0.0.1');
    expect(addressKey('::ffff:255.1.2.3')).toBe('255.1.2.3');
    expect(addressKey('[2001:db8:1:2::1]')).toBe(addressKey('2001:db8:1:2:ffff::9'));
    expect(addressKey('2001:db8:1:2::1')).not.toBe(addressKey('2001:db8:1:3::1'));
  });
});

describe('ranges', () => {
  test.each(['10.0.0.0/8', '0.0.0.0/0', '::/0', '2001:db8::/32', '1.2.3.4', '::1/128'])('%s is one', (text) => {
    expect(parseAddressRange(text)).toBeDefined();
  });

  test.each([
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    '::1/64',
    'host/8',
    '10.0.0.0/-1',
    '/8',
  ])('%s is none', (text) => {
    expect(parseAddressRange(text)).toBeUndefined();
    expect(() => new AddressRanges([text])).toThrow(RangeError);
  });

  test('have what is in one of them', () => {
    const ranges = new AddressRanges(['10.0.0.0/8', '::1', '2001:db8::/32']);
    for (const inside of ['10.255.0.1', '::ffff:10.1.1.1', '::1', '[2001:db8:ffff::]'])
      expect(ranges.has(inside)).toBe(true);
    for (const outside of ['11.0.0.0', '::2', '2001:db9::', 'unknown', '']) expect(ranges.has(outside)).toBe(false);
    expect(new AddressRanges([]).has('10.0.0.1')).toBe(false);
    expect(new AddressRanges(['0.0.0.0/0']).has('::1')).toBe(false);
  });
});
