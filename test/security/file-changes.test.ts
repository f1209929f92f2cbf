import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashPassword } from '../../src/auth/password-hash.ts';
import type { Config, DeepPartial } from '../../src/config.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trellis-security-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Puts a file with secrets in the place of the one there was, as tools do. */
function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, text);
  chmodSync(`${path}.new`, 0o600);
  renameSync(`${path}.new`, path);
  return path;
}

async function users(...names: string[]): Promise<string> {
  const lines = await Promise.all(
    names.map(async (name) => `${name}:${await hashPassword(Buffer.from(`of ${name}`))}`),
  );
  return write('users', `${lines.join('\n')}\n`);
}

function rules(...allowed: string[]): string {
  const topics = allowed.map((filter) => `'${filter}'`).join(', ');
  return write('rules.yaml', `roles: { all: [{ allow: all, topics: [${topics}] }] }\neveryone: [all]\n`);
}

async function start(config: DeepPartial<Config>): Promise<TestBroker> {
  return startTestBroker({ config });
}

const alice = { username: 'alice', password: 'of alice' };
const bob = { username: 'bob', password: 'of bob' };

describe('a broker with a password file and access rules', () => {
  test('lets in who is in the file, and says no alike to others and to wrong passwords', async () => {
    await using broker = await start({ auth: { passwordFile: await users('alice') }, acl: { file: rules('#') } });
    await broker.connect(alice);
    for (const wrong of [{ ...alice, password: 'x' }, bob, { username: 'alice' }]) {
      const client = await broker.open();
      client.sendConnect(wrong);
      await client.expectConnack(ReasonCode.badUserNameOrPassword);
    }
    const anonymous = await broker.open();
    anonymous.sendConnect();
    await anonymous.expectConnack(ReasonCode.notAuthorized);
  });

  test('ends subscriptions that changed rules do not allow, without being told to look', async () => {
    const config = { auth: { passwordFile: await users('alice', 'bob') }, acl: { file: rules('a/#', 'b/#') } };
    await using broker = await start(config);
    const client = await broker.connect(alice);
    await client.subscribe(['a/#', 'b/#'], 1);
    const publisher = await broker.connect(bob);
    const ended = Promise.withResolvers<string>();
    broker.on('unsubscribed', (_client, topicFilter) => ended.resolve(topicFilter));
    rules('b/#');
    expect(await ended.promise).toBe('a/#');
    const packetId = publisher.sendPublish('a/x', 'x', { qos: 1 });
    await publisher.expect(4, { packetId, reasonCode: ReasonCode.notAuthorized });
    await publisher.publish('b/x', 'x', { qos: 1 });
    await client.expectMessage({ topicName: 'b/x' });
    await client.expectNothing();
  });

  test('ends the connections of users who were removed, and keeps those of others', async () => {
    const config = { auth: { passwordFile: await users('alice', 'bob') }, acl: { file: rules('#') } };
    await using broker = await start(config);
    const removed = await broker.connect(alice);
    const stays = await broker.connect(bob);
    await users('bob');
    await removed.expectDisconnect(ReasonCode.notAuthorized);
    await stays.ping();
  });

  test('keeps what was in force where a file cannot be used any more', async () => {
    const config = { auth: { passwordFile: await users('alice') }, acl: { file: rules('a/#') } };
    await using broker = await start(config);
    const client = await broker.connect(alice);
    await client.subscribe('a/#', 1);
    write('users', 'alice\n');
    write('rules.yaml', 'roles: [');
    expect(await broker.broker.reload()).toBe(false);
    await client.publish('a/x', 'x', { qos: 1 });
    await client.expectMessage({ topicName: 'a/x' });
    await broker.connect({ ...alice, clientId: 'another' });
  });

  test('asks nothing of who can reach it where nothing says who clients are', async () => {
    await using broker = await start({ auth: { allowAnonymous: 'everywhere' } });
    const client = await broker.connect({ username: 'anybody', password: 'anything' });
    await client.publish('a', 'x', { qos: 1 });
    await using closed = await start({ auth: { allowAnonymous: 'nowhere' } });
    const nobody = await closed.open();
    nobody.sendConnect();
    await nobody.expectConnack(ReasonCode.notAuthorized);
  });
});
