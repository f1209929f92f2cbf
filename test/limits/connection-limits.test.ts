import { describe, expect, test } from 'vitest';
import { AddressRanges } from '../../src/lib/ip-address.ts';
import { ConnectionLimits, type ConnectionLimitSettings } from '../../src/limits/connection-limits.ts';
import { LimitCounters } from '../../src/limits/limit-counters.ts';

const OFF: ConnectionLimitSettings = {
  connectionsPerAddressMax: 0,
  connectionsPerUserMax: 0,
  pendingConnectionsMax: 0,
  pendingConnectionsPerAddressMax: 0,
  connectRateMax: 0,
  connectRatePerAddress: 0,
};

function limitsOf(
  settings: Partial<ConnectionLimitSettings>,
  exempt: string[] = [],
  makeRoom: (limits: ConnectionLimits) => boolean = () => false,
): { limits: ConnectionLimits; counters: LimitCounters } {
  const counters = new LimitCounters();
  const room = (): boolean => makeRoom(limits);
  const limits = new ConnectionLimits({ ...OFF, ...settings }, new AddressRanges(exempt), counters, room);
  return { limits, counters };
}

describe('connections of an address', () => {
  test('are refused above the limit, and let in again when one has gone', () => {
    const { limits, counters } = limitsOf({ connectionsPerAddressMax: 2 });
    expect([1, 2, 3].map(() => limits.accept('10.0.0.1', 0))).toEqual([
      undefined,
      undefined,
      'connections-per-address',
    ]);
    expect(limits.accept('10.0.0.2', 0)).toBeUndefined();
    limits.settled('10.0.0.1');
    limits.closed('10.0.0.1');
    expect(limits.accept('10.0.0.1', 0)).toBeUndefined();
    expect(counters.get('connections-per-address')).toBe(1);
  });

  test('are those of its /64 with IPv6', () => {
    const { limits } = limitsOf({ connectionsPerAddressMax: 1 });
    expect(limits.accept(limits.keyOf('[2001:db8::1]'), 0)).toBeUndefined();
    expect(limits.accept(limits.keyOf('[2001:db8::2]'), 0)).toBe('connections-per-address');
    expect(limits.accept(limits.keyOf('[2001:db8:0:1::1]'), 0)).toBeUndefined();
  });

  test('do not count where the address is exempt, or there is none', () => {
    const { limits } = limitsOf({ connectionsPerAddressMax: 1, connectRatePerAddress: 1 }, ['127.0.0.0/8', '::1']);
    for (const address of ['127.0.0.1', '127.9.9.9', '[::1]', '/run/mqtt.sock', 'unknown']) {
      for (let i = 0; i < 5; i++) expect(limits.accept(limits.keyOf(address), 0)).toBeUndefined();
    }
    expect(limits.addressCount).toBe(0);
  });

  test('without CONNECT have limits of their own, for one address and for all', () => {
    const { limits, counters } = limitsOf({ pendingConnectionsPerAddressMax: 2, pendingConnectionsMax: 3 });
    expect([1, 2, 3].map(() => limits.accept('a', 0))).toEqual([
      undefined,
      undefined,
      'pending-connections-per-address',
    ]);
    expect([1, 2].map(() => limits.accept('b', 0))).toEqual([undefined, 'pending-connections']);
    limits.settled('a');
    expect([1, 2].map(() => limits.accept('a', 0))).toEqual([undefined, 'pending-connections-per-address']);
    expect(limits.accept('', 0)).toBe('pending-connections');
    expect(counters.get('pending-connections')).toBe(2);
  });

  test('without CONNECT give way to newer ones where they wait for their clients', () => {
    const waiting: string[] = [];
    const { limits, counters } = limitsOf(
      { pendingConnectionsMax: 2, pendingConnectionsPerAddressMax: 1 },
      [],
      (those) => {
        const oldest = waiting.shift();
        if (oldest !== undefined) those.settled(oldest);
        return oldest !== undefined;
      },
    );
    const accept = (key: string): string | undefined => {
      const reason = limits.accept(key, 0);
      if (reason === undefined) waiting.push(key);
      return reason;
    };
    expect(['a', 'b', 'c', 'd'].map(accept)).toEqual([undefined, undefined, undefined, undefined]);
    expect(waiting).toEqual(['c', 'd']);
    // Who has too many itself displaces nobody.
    expect(accept('c')).toBe('pending-connections-per-address');
    expect(counters.get('pending-connections')).toBe(2);
    waiting.length = 0;
    expect(accept('e')).toBe('pending-connections');
  });

  test('come no faster than the rate of one address, which takes nothing from the others', () => {
    const { limits } = limitsOf({ connectRatePerAddress: 2, connectRateMax: 4 });
    const accept = (key: string, now: number): string | undefined => {
      const reason = limits.accept(key, now);
      if (reason === undefined) {
        limits.settled(key);
        limits.closed(key);
      }
      return reason;
    };
    const flood = Array.from({ length: 100 }, () => accept('attacker', 0));
    expect(flood.filter((reason) => reason === undefined)).toHaveLength(2);
    expect([1, 2, 3].map((at) => accept(`other-${at}`, 0))).toEqual([undefined, undefined, 'connect-rate']);
    expect(accept('attacker', 499)).toBe('connect-rate-per-address');
    expect(accept('attacker', 500)).toBeUndefined();
  });
});

describe('the table of addresses', () => {
  test('is empty when nobody is connected and there is no rate, whatever was refused', () => {
    const { limits } = limitsOf({ connectRateMax: 1, connectionsPerAddressMax: 1 });
    for (let i = 0; i < 1000; i++) {
      if (limits.accept(`10.0.0.${i}`, 0) !== undefined) continue;
      limits.settled(`10.0.0.${i}`);
      limits.closed(`10.0.0.${i}`);
    }
    expect(limits.addressCount).toBe(0);
  });

  test('stays bounded with a rate, and forgets nobody who is connected', () => {
    const { limits } = limitsOf({ connectRatePerAddress: 1, connectionsPerAddressMax: 1 });
    for (let i = 0; i < 20; i++) limits.accept(`connected-${i}`, 0);
    for (let i = 0; i < 200_000; i++) {
      limits.accept(`a${i}`, 0);
      limits.settled(`a${i}`);
      limits.closed(`a${i}`);
    }
    expect(limits.addressCount).toBeLessThan(66_000);
    for (let i = 0; i < 20; i++) expect(limits.accept(`connected-${i}`, 1e6)).toBe('connections-per-address');
  });
});

describe('connections of a user', () => {
  test('are refused above the limit, unless one takes over another', () => {
    const { limits, counters } = limitsOf({ connectionsPerUserMax: 2 });
    expect([1, 2, 3].map(() => limits.admitUser('bob', false))).toEqual([undefined, undefined, 'connections-per-user']);
    expect(limits.admitUser('bob', true)).toBeUndefined();
    limits.userGone('bob');
    expect(limits.admitUser('bob', false)).toBe('connections-per-user');
    limits.userGone('bob');
    expect(limits.admitUser('bob', false)).toBeUndefined();
    expect(counters.get('connections-per-user')).toBe(2);
  });

  test('are counted by their names, whatever those are, but for anonymous clients', () => {
    const { limits } = limitsOf({ connectionsPerUserMax: 1 });
    for (const name of ['__proto__', 'constructor', 'toString']) {
      expect(limits.admitUser(name, false)).toBeUndefined();
      expect(limits.admitUser(name, false)).toBe('connections-per-user');
      limits.userGone(name);
      expect(limits.admitUser(name, false)).toBeUndefined();
    }
    for (let i = 0; i < 3; i++) expect(limits.admitUser('', false)).toBeUndefined();
  });
});
