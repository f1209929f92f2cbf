import { isIPv4, isIPv6 } from 'node:net';

const BITS = 128;
const IPV4_BITS = 32;
/** ::ffff:0:0/96, where IPv4 addresses are among those of IPv6. */
const IPV4_MAPPED = 0xffffn << 32n;

/** A range of addresses: those whose first `prefixLength` bits are those of `network`. */
export interface AddressRange {
  /** 128 bits; IPv4 as ::ffff:a.b.c.d. */
  readonly network: bigint;
  /** 0 to 128; of an IPv4 range 96 more than it is written with. */
  readonly prefixLength: number;
}

/** The 128 bits of an address, IPv4 as ::ffff:a.b.c.d; undefined for what is none. A zone and brackets do not count. */
export function parseAddress(text: string): bigint | undefined {
  if (isIPv4(text)) return IPV4_MAPPED | ipv4Bits(text);
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const [address = ''] = bare.split('%', 1);
  return isIPv6(address) ? ipv6Bits(address) : undefined;
}

/** A range such as `10.0.0.0/8`, `2001:db8::/32`, or a single address; undefined for none, or with bits set behind its prefix. */
export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const network = parseAddress(address);
  if (network === undefined || rest.length > 0) return undefined;
  if (length === undefined) return { network, prefixLength: BITS };
  const bits = isIPv4(address) ? IPV4_BITS : BITS;
  if (!/^\d{1,3}$/.test(length) || Number(length) > bits) return undefined;
  const prefixLength = Number(length) + BITS - bits;
  return networkOf(network, prefixLength) === network ? { network, prefixLength } : undefined;
}

/** An address with all bits behind the prefix cleared. */
export function networkOf(address: bigint, prefixLength: number): bigint {
  const rest = BigInt(BITS - prefixLength);
  return (address >> rest) << rest;
}

/** A fixed set of ranges. */
export class AddressRanges {
  readonly #ranges: readonly AddressRange[];

  /** @throws RangeError for what is no range. */
  constructor(ranges: readonly string[]) {
    this.#ranges = ranges.map((text) => {
      const range = parseAddressRange(text);
      if (range === undefined) throw new RangeError(`${JSON.stringify(text)} is no address and no range of addresses`);
      return range;
    });
  }

  /** Whether the address is in one of them; what is no address is in none. */
  has(address: string): boolean {
    if (this.#ranges.length === 0) return false;
    const bits = parseAddress(address);
    if (bits === undefined) return false;
    return this.#ranges.some(({ network, prefixLength }) => networkOf(bits, prefixLength) === network);
  }
}

/**
 * What limits count an address by: an IPv4 address by itself, one of IPv6 by its first 64 bits, as whoever has one of
 * those has them all. Empty for what is no address, such as the path of a Unix socket.
 */
export function addressKey(address: string): string {
  if (isIPv4(address)) return address;
  const bits = parseAddress(address);
  if (bits === undefined) return '';
  if (bits >> 32n === 0xffffn) return ipv4Text(bits);
  return `${(bits >> 64n).toString(16)}/64`;
}

function ipv4Bits(text: string): bigint {
  return BigInt(text.split('.').reduce((bits, byte) => bits * 256 + Number(byte), 0));
}

function ipv4Text(bits: bigint): string {
  const word = Number(bits & 0xffff_ffffn);
  return [word >>> 24, (word >>> 16) & 0xff, (word >>> 8) & 0xff, word & 0xff].join('.');
}

/** The bits of what `isIPv6` takes, without a zone. */
function ipv6Bits(text: string): bigint {
  const [head = '', tail] = text.split('::');
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => 0n), ...after];
  return groups.reduce((bits, group) => (bits << 16n) | group, 0n);
}

function groupsOf(text: string): bigint[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)];
    const bits = ipv4Bits(group);
    return [bits >> 16n, bits & 0xffffn];
  });
}

/** A remote address such as `127.0.0.1:51234` or `[::1]:51234` without its port and brackets; the path of a Unix socket as it is. */
export function hostOf(remoteAddress: string): string {
  const host = remoteAddress.replace(/:\d+$/, '');
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

/** An IPv4 address mapped into IPv6 as the IPv4 address it is. */
export function plainAddress(address: string): string {
  const mapped = address.toLowerCase().startsWith('::ffff:') ? address.slice('::ffff:'.length) : '';
  return isIPv4(mapped) ? mapped : address;
}

/** Whether an address is one of this machine alone. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}
