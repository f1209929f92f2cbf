/**
 * The header that a balancer puts before the bytes of a connection to say whose they are: the PROXY protocol, versions 1
 * (a line of text) and 2 (binary).
 *
 *     version 1   PROXY TCP4 192.0.2.1 198.51.100.1 51234 8883\r\n            at most 107 bytes
 *     version 2   signature (12) | version, command | family, transport | length (2) | addresses | TLVs     at most 536
 */
import { isIPv4, isIPv6, type Socket, SocketAddress } from 'node:net';
import { crc32c } from '../lib/crc32c.ts';
import { hostOf, isLoopbackAddress, plainAddress } from '../lib/ip-address.ts';
import { urlAuthority } from './url-authority.ts';

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** The beginning of a header. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'malformed'; readonly reason: string }
  /**
   * A whole one of `length` bytes. `source` is where the client is (`192.0.2.1:51234`, `[2001:db8::1]:51234`, the path of a
   * Unix socket); undefined where the balancer speaks for itself or does not know.
   */
  | { readonly kind: 'complete'; readonly length: number; readonly source: string | undefined };

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

const V1_PREFIX: Buffer = Buffer.from('PROXY ');
const V1_BYTES_MAX = 107;

const V2_SIGNATURE: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_FIXED_BYTES = 16;
/** The standard's own measure for a receiver: what a host must take in one piece. */
const V2_BYTES_MAX = 536;
const TLV_CRC32C = 0x03;

function malformed(reason: string): ProxyHeader {
  return { kind: 'malformed', reason: `the PROXY header of the balancer ${reason}` };
}

function isPrefix(bytes: Buffer, whole: Buffer): boolean {
  const length = Math.min(bytes.length, whole.length);
  return bytes.compare(whole, 0, length, 0, length) === 0;
}

/** Reads the header at the beginning of the bytes; never looks beyond 536 of them. */
export function decodeProxyHeader(bytes: Buffer): ProxyHeader {
  if (isPrefix(bytes, V1_PREFIX)) return bytes.length < V1_PREFIX.length ? INCOMPLETE : decodeV1(bytes);
  if (isPrefix(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED_BYTES ? INCOMPLETE : decodeV2(bytes);
  return malformed('is missing');
}

function decodeV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_BYTES_MAX).indexOf('\r\n');
  if (end < 0) return bytes.length < V1_BYTES_MAX ? INCOMPLETE : malformed('is longer than 107 bytes');
  const length = end + 2;
  const line = bytes.toString('latin1', 0, end);
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN '))
    return { kind: 'complete', length, source: undefined };
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = ''] =
    /^PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})$/.exec(line) ?? [];
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  const arePorts = [sourcePort, destinationPort].every((port) => /^(0|[1-9]\d*)$/.test(port) && Number(port) <= 65_535);
  if (!isAddress(source) || !isAddress(destination) || !arePorts) return malformed('is no line of version 1');
  return { kind: 'complete', length, source: addressText(source, Number(sourcePort)) };
}

function decodeV2(bytes: Buffer): ProxyHeader {
  const version = bytes[12]! >> 4;
  const command = bytes[12]! & 0x0f;
  if (version !== 2 || command > 1) return malformed('has an unknown version or command');
  const length = V2_FIXED_BYTES + bytes.readUInt16BE(14);
  if (length > V2_BYTES_MAX) return malformed(`is longer than ${V2_BYTES_MAX} bytes`);
  if (bytes.length < length) return INCOMPLETE;
  const header = bytes.subarray(0, length);
  // A balancer that asks whether we live speaks for itself, whatever else it says.
  if (command === 0) return { kind: 'complete', length, source: undefined };
  const addressBytes = addressBytesOf(header[13]!);
  if (addressBytes === undefined) return malformed('is not of a stream over IPv4, IPv6 or a Unix socket');
  if (V2_FIXED_BYTES + addressBytes > length) return malformed('is shorter than its addresses');
  const fault = tlvFault(header, V2_FIXED_BYTES + addressBytes);
  if (fault !== undefined) return malformed(fault);
  return { kind: 'complete', length, source: sourceV2(header) };
}

/** How many bytes of addresses a family and transport have; undefined for those that carry no stream. */
function addressBytesOf(familyAndTransport: number): number | undefined {
  switch (familyAndTransport) {
    case 0x00:
      return 0;
    case 0x11:
      return 12;
    case 0x21:
      return 36;
    case 0x31:
      return 216;
    default:
      return undefined;
  }
}

function sourceV2(header: Buffer): string | undefined {
  switch (header[13]!) {
    case 0x11:
      return addressText(header.subarray(16, 20).join('.'), header.readUInt16BE(24));
    case 0x21: {
      const groups = Array.from({ length: 8 }, (_, index) => header.readUInt16BE(16 + 2 * index).toString(16));
      return addressText(groups.join(':'), header.readUInt16BE(48));
    }
    case 0x31: {
      const path = header.subarray(16, 124);
      const end = path.indexOf(0);
      // The path of the client's end, which mostly has none.
      return path.toString('utf8', 0, end < 0 ? path.length : end) || undefined;
    }
    default:
      return undefined;
  }
}

/** Steps over the additional fields; checks the checksum where there is one. @returns what is wrong, undefined for nothing. */
function tlvFault(header: Buffer, start: number): string | undefined {
  for (let offset = start; offset < header.length; ) {
    if (offset + 3 > header.length) return 'has a cut field';
    const value = offset + 3;
    const next = value + header.readUInt16BE(offset + 1);
    if (next > header.length) return 'has a cut field';
    if (header[offset] === TLV_CRC32C) {
      if (next !== value + 4) return 'has a checksum that is not 4 bytes long';
      const zeroed = Buffer.from(header).fill(0, value, next);
      if (crc32c(zeroed) !== header.readUInt32BE(value)) return 'has a wrong checksum';
    }
    offset = next;
  }
  return undefined;
}

/** One text for one address however it was written, so that limits by address count it once. */
function addressText(address: string, port: number): string {
  const plain = plainAddress(address);
  const isV6 = plain.includes(':');
  const canonical = isV6 ? new SocketAddress({ address: plain, family: 'ipv6' }).address : plain;
  return urlAuthority(plainAddress(canonical), port);
}

/**
 * Where the client of a balancer is: as its header says, empty where only the balancer's own address is known. A loopback
 * address in the header of another machine is one of that machine, where no client of ours may count as one of this.
 * @param source As `ProxyHeader.source`.
 * @param balancer Address of the balancer, without a port.
 */
export function addressBehind(balancer: string, source: string | undefined): string {
  if (source === undefined) return '';
  const isItsOwn = isLoopbackAddress(hostOf(source)) && !isLoopbackAddress(plainAddress(balancer));
  return isItsOwn ? '' : source;
}

/**
 * Takes the header off the beginning of a socket that nobody reads yet, and puts back what follows it.
 * @param onHeader told where the client is, as `source` of `ProxyHeader`; the socket is the caller's again.
 * @param onMalformed told why there is none.
 */
export function readProxyHeader(
  socket: Socket,
  onHeader: (source: string | undefined) => void,
  onMalformed: (reason: string) => void,
): void {
  let bytes: Buffer = Buffer.alloc(0);
  const stop = (): void => {
    socket.off('readable', onReadable);
    socket.off('end', onEnd);
  };
  const onEnd = (): void => {
    stop();
    onMalformed('the PROXY header of the balancer is cut');
  };
  const onReadable = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = decodeProxyHeader(bytes);
    switch (header.kind) {
      case 'incomplete':
        return;
      case 'malformed':
        stop();
        onMalformed(header.reason);
        return;
      case 'complete':
        stop();
        if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
        // Removing the listener for `readable` lets the socket flow again, a tick from now.
        process.nextTick(onHeader, header.source);
    }
  };
  socket.on('readable', onReadable);
  socket.on('end', onEnd);
}
