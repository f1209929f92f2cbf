import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { endAll, finished } from '../cli/trellis.ts';
import { startBrokerProcess } from './broker-process.ts';
import { root } from './checkout.ts';

const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
/** The instructions of the last stage, continuation lines joined. */
const image = instructions(dockerfile.slice(dockerfile.lastIndexOf('\nFROM ')));
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-docker-'));
});

afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true });
});

function instructions(text: string): [name: string, rest: string][] {
  return text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1).trim()]);
}

function all(name: string): string[] {
  return image.filter(([instruction]) => instruction === name).map(([, rest]) => rest);
}

test('the image runs as a user without rights, with volumes for data and configuration', () => {
  expect(all('USER')).toEqual(['node']);
  expect(all('VOLUME').map((list) => JSON.parse(list) as unknown)).toEqual([['/data', '/config']]);
  expect(all('EXPOSE')).toEqual(['1883 8083']);
  // ./data, the default of store.data.
  expect(all('WORKDIR').at(-1)).toBe('/');
});

test('whatever the image copies from here is here, and not kept from the build', () => {
  const copied = instructions(dockerfile)
    .filter(([name, rest]) => name === 'COPY' && !rest.startsWith('--from'))
    .flatMap(([, rest]) => rest.split(' ').slice(0, -1));
  expect(copied).toContain('src');
  const ignore = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
  for (const path of copied) {
    expect(existsSync(join(root, path))).toBe(true);
    expect(ignore).toContain(`!${path}`);
  }
});

/** Runs the entry point with a `trellis` that prints its arguments, `/config` being a folder of this test. */
function started(config: string, args: readonly string[]): string[] {
  const [shell = '', ...rest] = JSON.parse(all('ENTRYPOINT')[0] ?? '[]') as string[];
  const script = join(directory, 'trellis');
  writeFileSync(script, '#!/bin/sh\nprintf "%s\\n" "$@"\n');
  chmodSync(script, 0o755);
  const env = { PATH: [directory, process.env['PATH']].join(delimiter) };
  const entry = rest.map((text) => text.replaceAll('/config', config));
  return execFileSync(shell, [...entry, ...args], { env, encoding: 'utf8' })
    .trimEnd()
    .split('\n');
}

test('without a configuration file the broker lets everybody in, with one the file decides', async () => {
  const open = started(join(directory, 'none'), ['--log-level', 'debug']);
  expect(open.slice(0, 3)).toEqual(['start', '--host', '0.0.0.0']);
  expect(open.slice(-2)).toEqual(['--log-level', 'debug']);
  // The flags are right: trellis check takes the same ones.
  expect(await finished(['check', ...open.slice(1)], { directory })).toMatchObject({ code: 0, stderr: '' });
  writeFileSync(join(directory, 'trellis.yaml'), 'log:\n  level: warn\n');
  const filed = started(directory, []);
  expect(filed).toEqual(['start', '--config', join(directory, 'trellis.yaml')]);
  expect(await finished(['check', ...filed.slice(1)], { directory })).toMatchObject({ code: 0, stderr: '' });
});

test('the health check passes with a broker, also one that asks for passwords, and fails without; it needs nothing but Node', async () => {
  const [check = ''] = all('HEALTHCHECK');
  const [program, ...args] = JSON.parse(check.slice(check.indexOf('['))) as string[];
  expect(program).toBe('node');
  const run = (port: number): number | null =>
    spawnSync(
      process.execPath,
      args.map((arg) => arg.replace('connect(1883,', `connect(${port},`)),
    ).status;
  for (const more of [[], ['--set', 'auth.allowAnonymous=nowhere']]) {
    const broker = await startBrokerProcess({ directory, args: ['--store', 'memory', ...more] });
    expect(run(broker.port)).toBe(0);
    broker.command.process.kill('SIGKILL');
    await broker.command.exited;
    expect(run(broker.port)).toBe(1);
  }
});

test('the compose file of a single broker runs one, published on loopback only, with time to end in order', () => {
  const text = readFileSync(join(root, 'docker-compose.single.yml'), 'utf8');
  const { services, volumes } = parse(text) as {
    services: Record<string, { ports: string[]; volumes: string[]; stop_grace_period: string }>;
    volumes: Record<string, unknown>;
  };
  expect(Object.keys(services)).toEqual(['trellis']);
  expect(services['trellis']).toMatchObject({
    build: '.',
    ports: ['127.0.0.1:1883:1883', '127.0.0.1:8083:8083'],
    volumes: ['data:/data', './config:/config:ro'],
    stop_grace_period: '30s',
  });
  expect(Object.keys(volumes)).toEqual(['data']);
});
