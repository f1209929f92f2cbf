import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { brokerFlags, loadFromFlags } from '../src/cli/broker-flags.ts';
import { AddressRanges } from '../src/lib/ip-address.ts';
import { parseFlags } from '../src/cli/flags.ts';
import type { Config } from '../src/config.ts';
import { parseRedisUrl } from '../src/store/redis/redis-address.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

interface Service {
  image: string;
  build?: string;
  command?: string[];
  environment?: Record<string, string | number>;
  hostname?: string;
  ports?: string[];
  volumes?: string[];
  depends_on?: unknown;
  stop_grace_period?: string;
  healthcheck?: { test: string[] };
}

interface Compose {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
}

/** The configuration that flags and environment make; an option that there is not is an error. */
function configOf(flags: readonly string[], environment: Readonly<Record<string, string | number>> = {}): Config {
  const texts = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));
  return loadFromFlags(parseFlags('start', brokerFlags, flags), texts).config;
}

/** What a broker may take to stop, seconds. */
function stopSeconds({ cluster, admin }: Config): number {
  return (cluster.drainMs + 3 * admin.drainTimeoutMs) / 1_000;
}

describe('docker compose', () => {
  const { services, volumes } = parse(read('docker-compose.yml'), { merge: true }) as Compose;
  const brokers = Object.entries(services).filter(([, { image }]) => image === 'trellis-mqtt');
  const redis = services['redis']!;
  const balancer = services['balancer']!;

  test('runs Redis, three brokers and a load balancer', () => {
    expect(brokers.map(([name]) => name)).toEqual(['trellis-1', 'trellis-2', 'trellis-3']);
    expect(Object.keys(services).sort()).toEqual(['balancer', 'redis', 'trellis-1', 'trellis-2', 'trellis-3']);
    expect([redis.image, balancer.image]).toEqual(['redis:7', 'haproxy:lts-alpine']);
  });

  test.each(brokers)('%s is a node of its own on that Redis, and is given time to end in order', (name, service) => {
    const { store, redis: address, cluster, limits, listeners } = configOf([], service.environment);
    expect({ build: service.build, hostname: service.hostname, node: cluster.nodeId }).toEqual({
      build: '.',
      hostname: name,
      node: name,
    });
    expect(store.type).toBe('redis');
    expect(parseRedisUrl(address.url)).toMatchObject({ kind: 'single', hosts: [{ host: 'redis', port: 6_379 }] });
    expect(service.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    // The load balancer, wherever Docker puts it, says where clients are; the broker's own check comes by itself.
    const balancers = new AddressRanges(listeners.proxyProtocolFrom);
    for (const host of ['172.18.0.5', '192.168.16.5', '10.0.1.5']) expect(balancers.has(host)).toBe(true);
    expect(balancers.has('127.0.0.1')).toBe(false);
    const exempt = new AddressRanges(limits.addressesExempt);
    for (const host of ['172.18.0.1', '127.0.0.1', '::1']) expect(exempt.has(host)).toBe(true);
    for (const host of ['10.0.1.5', '192.168.1.5', '203.0.113.9']) expect(exempt.has(host)).toBe(false);
    expect(limits.pendingConnectionsMax).toBe(limits.connectionsMax);
    const config = configOf([], service.environment);
    expect(config.cluster.drainMs).toBeGreaterThan(0);
    expect(Number.parseInt(service.stop_grace_period!, 10)).toBeGreaterThan(stopSeconds(config));
    expect(service.ports).toBeUndefined();
  });

  test('Redis keeps what it acknowledged in a volume, throws nothing away, and is asked whether it answers', () => {
    const settings = new Map<string, string>();
    for (let index = 1; index < redis.command!.length; index += 2)
      settings.set(redis.command![index]!, redis.command![index + 1]!);
    expect(redis.command![0]).toBe('redis-server');
    expect(Object.fromEntries(settings)).toEqual({
      '--appendonly': 'yes',
      '--appendfsync': 'everysec',
      '--maxmemory-policy': 'noeviction',
    });
    expect(redis.volumes).toEqual(['redis:/data']);
    expect(Object.keys(volumes)).toEqual(['redis']);
    expect(redis.healthcheck?.test).toEqual(['CMD', 'redis-cli', 'ping']);
    expect(redis.ports).toBeUndefined();
  });

  test('the load balancer alone is published, on loopback, and mounts files that are here', () => {
    expect(balancer.ports).toEqual(['127.0.0.1:1883:1883', '127.0.0.1:8083:8083']);
    for (const volume of balancer.volumes!) expect(existsSync(join(root, volume.split(':')[0]!))).toBe(true);
    expect(balancer.depends_on).toEqual(brokers.map(([name]) => name));
    expect(balancer.healthcheck?.test).toEqual(['CMD', 'nc', '-z', '127.0.0.1', '1883']);
  });

  test('the load balancer knows every broker, by MQTT and by WebSocket', () => {
    const lines = read('deploy/haproxy.cfg')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const servers = lines
      .filter(([word]) => word === 'server')
      .map(([, name, address, ...rest]) => [name, address, rest.join(' ')]);
    const defaults = configOf([]).listeners;
    expect(servers).toEqual([
      ...brokers.map(([name]) => [name, `${name}:${defaults.tcp.port}`, 'check']),
      ...brokers.map(([name]) => [name, `${name}:${defaults.websocket.port}`, `track mqtt/${name}`]),
    ]);
    expect(lines.filter(([word]) => word === 'bind').map(([, port]) => port)).toEqual([':1883', ':8083']);
    expect(lines.filter(([word]) => word === 'balance')).toEqual([
      ['balance', 'leastconn'],
      ['balance', 'leastconn'],
    ]);
    // Above 1.5 times the longest keep alive there is, which is 18 h 12 min.
    const timeouts = new Map(lines.filter(([word]) => word === 'timeout').map(([, what, time]) => [what, time]));
    expect([timeouts.get('client'), timeouts.get('server')]).toEqual(['28h', '28h']);
  });

  test('the load balancer tells the brokers where clients are, also when it asks whether they live', () => {
    const config = read('deploy/haproxy.cfg');
    expect(config).toMatch(/^ {2}default-server send-proxy-v2 /m);
    expect(config).toMatch(/^ {2}tcp-check connect default$/m);
  });

  test('the load balancer asks with a CONNECT that is one, and for the beginning of any CONNACK', () => {
    const check = /send-binary ([0-9a-f]+)\n.*expect binary ([0-9a-f]+)\n.*send-binary ([0-9a-f]+)\n/.exec(
      read('deploy/haproxy.cfg'),
    )!;
    const [connect, connack, disconnect] = check.slice(1).map((hex) => Buffer.from(hex, 'hex'));
    expect(connect![1]).toBe(connect!.length - 2);
    expect(connect!.subarray(2)).toEqual(Buffer.from([0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 5, 0, 0]));
    expect([...connack!, ...disconnect!]).toEqual([0x20, 2, 0xe0, 0]);
  });
});

describe('systemd', () => {
  interface Unit {
    lines: string[];
    value: (name: string) => string | undefined;
    flags: string[];
    environment: Record<string, string>;
  }

  function unit(name: string): Unit {
    const lines = read(`deploy/systemd/${name}`)
      .replaceAll('%i', '1884')
      .replaceAll('%H', 'machine')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const value = (key: string): string | undefined =>
      lines.findLast((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
    const words = value('ExecStart')!.split(' ');
    const environment = Object.fromEntries(
      (value('Environment') ?? '').split(' ').map((pair) => pair.split('=') as [string, string]),
    );
    // There is no configuration file here.
    const flags = words.slice(2).filter((word) => word !== '--config' && !word.startsWith('/etc/'));
    expect(words.slice(0, 2)).toEqual(['/usr/local/bin/trellis', 'start']);
    return { lines, value, flags, environment };
  }

  test.each(['trellis.service', 'trellis@.service'])('%s has sections and assignments only', (name) => {
    for (const line of unit(name).lines) expect(line).toMatch(/^(\[(Unit|Service|Install)\]|[A-Z][A-Za-z]+=.*)$/);
  });

  test.each(['trellis.service', 'trellis@.service'])(
    '%s starts a node again that ended, and lets it end in order',
    (name) => {
      const { value, flags, environment } = unit(name);
      expect([value('Restart'), value('RestartPreventExitStatus'), value('KillMode'), value('DynamicUser')]).toEqual([
        'on-failure',
        '2',
        'mixed',
        'yes',
      ]);
      expect(Number(value('StartLimitIntervalSec'))).toBe(0);
      expect(Number(value('TimeoutStopSec'))).toBeGreaterThan(stopSeconds(configOf(flags, environment)) + 10);
      expect(Number(value('LimitNOFILE'))).toBeGreaterThan(configOf([]).limits.connectionsMax);
    },
  );

  test('trellis.service keeps its data where it may write', () => {
    const { value, flags, environment } = unit('trellis.service');
    expect(configOf(flags, environment).store.data).toBe(`/var/lib/${value('StateDirectory')}`);
  });

  test('trellis@.service is a node for each port', () => {
    const { flags, environment } = unit('trellis@.service');
    const { listeners, cluster, store } = configOf(flags, environment);
    expect([listeners.tcp.port, listeners.websocket.port, cluster.nodeId, store.type]).toEqual([
      1_884,
      'off',
      'machine:1884',
      'redis',
    ]);
  });
});
