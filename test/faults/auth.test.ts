import { describe, expect } from 'vitest';
import type { AuthExchange, AuthStep, Hooks } from '../../src/hooks/hooks.ts';
import { PacketType } from '../../src/protocol/packets.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import type { RawClient } from '../support/raw-client.ts';
import { CANARY, type Scene, test } from './scene.ts';

const METHOD = 'challenge';
const CONNECT = { properties: { authenticationMethod: METHOD, authenticationData: Buffer.from('hello') } };

/** Asks twice, for `one` and `two`, and lets in as `ann`; what an answer calls for otherwise, it says. */
class Challenge implements AuthExchange {
  readonly heard: string[];
  readonly refusal: AuthStep;

  constructor(heard: string[], refusal: AuthStep) {
    this.heard = heard;
    this.refusal = refusal;
  }

  async step(data: Uint8Array | undefined): Promise<AuthStep> {
    const text = Buffer.from(data ?? []).toString();
    this.heard.push(text);
    switch (text) {
      case 'hello':
        return { kind: 'continue', data: Buffer.from('one?'), reasonString: 'go on' };
      case 'one':
        return { kind: 'continue', data: Buffer.from('two?') };
      case 'two':
        return { kind: 'success', data: Buffer.from('welcome'), username: 'ann' };
      case 'broken':
        throw new Error('broken');
      default:
        return this.refusal;
    }
  }
}

const REFUSAL: AuthStep = { kind: 'refuse', reasonCode: ReasonCode.notAuthorized, reasonString: 'wrong answer' };

function challenge(heard: string[] = [], refusal: AuthStep = REFUSAL): Hooks {
  return { startAuthExchange: (method) => (method === METHOD ? new Challenge(heard, refusal) : undefined) };
}

function sendAuth(
  client: RawClient,
  text: string,
  reasonCode: number = ReasonCode.continueAuthentication,
  method = METHOD,
): void {
  const properties = { authenticationMethod: method, authenticationData: Buffer.from(text) };
  client.send({ type: PacketType.auth, reasonCode, properties });
}

async function expectAuth(
  client: RawClient,
  text: string,
  reasonCode: number = ReasonCode.continueAuthentication,
): Promise<void> {
  const { properties } = await client.expect(PacketType.auth, { reasonCode });
  expect(properties.authenticationMethod).toBe(METHOD);
  expect(Buffer.from(properties.authenticationData ?? []).toString()).toBe(text);
}

/** A client that has answered both questions. */
async function letIn(scene: Scene): Promise<RawClient> {
  const client = await scene.broker.open();
  client.sendConnect(CONNECT);
  await expectAuth(client, 'one?');
  sendAuth(client, 'one');
  await expectAuth(client, 'two?');
  sendAuth(client, 'two');
  const { properties } = await client.expectConnack(0);
  expect(properties.authenticationMethod).toBe(METHOD);
  expect(Buffer.from(properties.authenticationData ?? []).toString()).toBe('welcome');
  return client;
}

describe('enhanced authentication', () => {
  test('takes several steps, and the client is who the exchange says', async ({ start }) => {
    const heard: string[] = [];
    const names: string[] = [];
    const scene = await start({ hooks: challenge(heard) });
    scene.broker.broker.on('clientConnected', ({ username }) => names.push(username));
    const client = await letIn(scene);
    await client.expectNothing();
    expect(heard).toEqual(['hello', 'one', 'two']);
    expect(names).toEqual(['ann']);
    await scene.expectEnded({});
  });

  test('that fails is refused in CONNACK: wrong answer, unknown method, broken exchange', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    const wrong = await scene.broker.open();
    wrong.sendConnect(CONNECT);
    await expectAuth(wrong, 'one?');
    sendAuth(wrong, 'three');
    const { properties } = await wrong.expectConnack(ReasonCode.notAuthorized);
    expect(properties.reasonString).toBe('wrong answer');
    await wrong.expectClose();
    const unknown = await scene.broker.open();
    unknown.sendConnect({ properties: { authenticationMethod: 'another' } });
    await unknown.expectConnack(ReasonCode.badAuthenticationMethod);
    await unknown.expectClose();
    const broken = await scene.broker.open();
    broken.sendConnect(CONNECT);
    await expectAuth(broken, 'one?');
    sendAuth(broken, 'broken');
    await broken.expectConnack(ReasonCode.implementationSpecificError);
    await broken.expectClose();
    await scene.expectEnded({ refused: 2, 'internal-error': 1 });
  });

  test('without a hook for it is refused', async ({ start }) => {
    const scene = await start();
    const client = await scene.broker.open();
    client.sendConnect(CONNECT);
    await client.expectConnack(ReasonCode.badAuthenticationMethod);
    await client.expectClose();
    await scene.expectEnded({ refused: 1 });
  });

  test('ends at an AUTH with another method, or another reason code, than is due', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    for (const [reasonCode, method] of [
      [ReasonCode.continueAuthentication, 'another'],
      [ReasonCode.reAuthenticate, METHOD],
      [ReasonCode.success, METHOD],
    ] as const) {
      const client = await scene.broker.open();
      client.sendConnect(CONNECT);
      await expectAuth(client, 'one?');
      sendAuth(client, 'one', reasonCode, method);
      await client.expectConnack(ReasonCode.protocolError);
      await client.expectClose();
    }
    await scene.expectEnded({ 'protocol-error': 3 });
  });

  test('takes no longer than a CONNECT may take, however many steps it has', async ({ start }) => {
    const clock = new FakeClock();
    const scene = await start({ clock, hooks: challenge() });
    const client = await scene.broker.open();
    client.sendConnect(CONNECT);
    await expectAuth(client, 'one?');
    clock.advance(9_000);
    sendAuth(client, 'hello');
    await expectAuth(client, 'one?');
    clock.advance(1_000);
    await client.expectConnack(ReasonCode.unspecifiedError);
    await client.expectClose();
    await scene.expectEnded({ 'connect-timeout': 1 });
  });

  test('handles what comes in the same segment as the answer it waits for', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    const client = await scene.broker.open();
    client.sendConnect(CONNECT);
    sendAuth(client, 'one');
    sendAuth(client, 'two');
    client.sendSubscribe('a');
    await expectAuth(client, 'one?');
    await expectAuth(client, 'two?');
    await client.expectConnack(0);
    await client.expect(PacketType.suback);
    await scene.expectEnded({});
  });
});

describe('re-authentication', () => {
  test('that succeeds changes nothing but that, and may be repeated', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    const client = await letIn(scene);
    await client.subscribe('a', 1);
    for (let i = 0; i < 3; i++) {
      sendAuth(client, 'hello', ReasonCode.reAuthenticate);
      await expectAuth(client, 'one?');
      // The connection goes on meanwhile.
      client.sendPublish('a', `${i}`, { qos: 1 });
      await client.expectMessage({ payload: `${i}` });
      await client.expect(PacketType.puback);
      sendAuth(client, 'one');
      await expectAuth(client, 'two?');
      sendAuth(client, 'two');
      await expectAuth(client, 'welcome', ReasonCode.success);
    }
    await client.expectNothing();
    await scene.expectEnded({});
  });

  test('that fails ends the connection, and the will is published', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    const watcher = await scene.broker.connect();
    await watcher.subscribe('will');
    for (const [text, reasonCode] of [
      ['wrong', ReasonCode.notAuthorized],
      ['broken', ReasonCode.implementationSpecificError],
    ] as const) {
      const client = await scene.broker.open();
      client.sendConnect({ ...CONNECT, will: { topicName: 'will' } });
      await expectAuth(client, 'one?');
      sendAuth(client, 'two');
      await client.expectConnack(0);
      sendAuth(client, text, ReasonCode.reAuthenticate);
      await client.expectDisconnect(reasonCode);
      await watcher.expectPublish({ topicName: 'will' });
    }
    await scene.expectEnded({ refused: 1, 'internal-error': 1 });
  });

  test('that is refused with a code of CONNACK alone is told by one that DISCONNECT has', async ({ start }) => {
    const refusal: AuthStep = { kind: 'refuse', reasonCode: ReasonCode.badUserNameOrPassword };
    const scene = await start({ hooks: challenge([], refusal) });
    const client = await letIn(scene);
    sendAuth(client, 'wrong', ReasonCode.reAuthenticate);
    await client.expectDisconnect(ReasonCode.unspecifiedError);
    await scene.expectEnded({ refused: 1 });
  });

  test('with another method, without CONNECT having had one, or out of turn is a protocol error', async ({ start }) => {
    const scene = await start({ hooks: challenge() });
    for (const [reasonCode, method] of [
      [ReasonCode.reAuthenticate, 'another'],
      [ReasonCode.continueAuthentication, METHOD],
      [ReasonCode.success, METHOD],
    ] as const) {
      const client = await letIn(scene);
      sendAuth(client, 'hello', reasonCode, method);
      await client.expectDisconnect(ReasonCode.protocolError);
    }
    const plain = await scene.broker.connect();
    sendAuth(plain, 'hello', ReasonCode.reAuthenticate);
    await plain.expectDisconnect(ReasonCode.protocolError);
    await scene.expectEnded({ 'protocol-error': 4 });
  });
});

describe('a refusal of authenticate', () => {
  /** What 3.x makes of each reason code; the others it has no return code for. */
  const RETURN_CODES: ReadonlyMap<number, number> = new Map([
    [ReasonCode.unsupportedProtocolVersion, 1],
    [ReasonCode.clientIdentifierNotValid, 2],
    [ReasonCode.serverUnavailable, 3],
    [ReasonCode.serverBusy, 3],
    [ReasonCode.serverShuttingDown, 3],
    [ReasonCode.quotaExceeded, 3],
    [ReasonCode.implementationSpecificError, 3],
    [ReasonCode.useAnotherServer, 3],
    [ReasonCode.serverMoved, 3],
    [ReasonCode.connectionRateExceeded, 3],
    [ReasonCode.badUserNameOrPassword, 4],
    [ReasonCode.notAuthorized, 5],
    [ReasonCode.banned, 5],
  ]);
  /** Codes that CONNACK of 5.0 does not have, and what is sent instead. */
  const INSTEAD: ReadonlyMap<number, number> = new Map([
    [ReasonCode.serverShuttingDown, ReasonCode.serverUnavailable],
    ...[0x00, 0x04, 0x18, 0x8d, 0x8e, 0x8f, 0x91, 0x92, 0x93, 0x94, 0x96, 0x98, 0x9e, 0xa0, 0xa1, 0xa2, 0xff].map(
      (code) => [code, ReasonCode.unspecifiedError] as const,
    ),
  ]);
  const codes = [...new Set([...Object.values(ReasonCode), 0xff])];

  /** What goes along with a code: for those that send the client elsewhere, where to. */
  const reasonsFor = (code: number): { reasonString: string; serverReference?: string } =>
    code === ReasonCode.useAnotherServer || code === ReasonCode.serverMoved
      ? { reasonString: 'because', serverReference: 'other.example' }
      : { reasonString: 'because' };
  /** Refuses with the code that is the user name. */
  const hooks: Hooks = {
    authenticate: ({ clientId, username }) =>
      clientId.startsWith(CANARY)
        ? { allow: true }
        : { allow: false, reasonCode: Number(username), ...reasonsFor(Number(username)) },
  };

  test.for([3, 4] as const)('becomes the nearest return code, or none, version %s', async (version, { start }) => {
    const scene = await start({ hooks });
    for (const code of codes) {
      const client = await scene.broker.open({ version });
      client.sendConnect({ username: `${code}` });
      const returnCode = RETURN_CODES.get(code);
      if (returnCode !== undefined) await client.expectConnack(returnCode);
      await client.expectClose();
    }
    const ended = Object.values(scene.ended()).reduce((sum, count) => sum + count, 0);
    expect(ended).toBe(codes.length);
  });

  test('is told in CONNACK of 5.0 by a code it has, with the reason and the server to go to', async ({ start }) => {
    const scene = await start({ hooks });
    for (const code of codes) {
      const client = await scene.broker.open();
      client.sendConnect({ username: `${code}` });
      const { reasonCode, properties } = await client.expect(PacketType.connack, { sessionPresent: false });
      const expected = INSTEAD.get(code) ?? (code < 0x80 ? ReasonCode.unspecifiedError : code);
      expect({ code, reasonCode }).toEqual({ code, reasonCode: expected });
      expect(properties).toEqual(reasonsFor(code));
      await client.expectClose();
    }
    const { sessions, connections } = scene.broker.broker.counters();
    expect({ sessions, clients: connections.clients }).toEqual({ sessions: 2, clients: 2 });
  });

  test('counts as a refusal', async ({ start }) => {
    const scene = await start({ hooks });
    for (const code of [0x85, 0x86, 0x87, 0x8a, 0x9c, 0x9d]) {
      const client = await scene.broker.open();
      client.sendConnect({ username: `${code}` });
      await client.expectConnack(code);
      await client.expectClose();
    }
    await scene.expectEnded({ refused: 5, banned: 1 });
  });

  test('points an established client to another server when it re-authenticates', async ({ start }) => {
    const refusal: AuthStep = {
      kind: 'refuse',
      reasonCode: ReasonCode.useAnotherServer,
      serverReference: 'other.example',
    };
    const scene = await start({ hooks: challenge([], refusal) });
    const client = await letIn(scene);
    sendAuth(client, 'wrong', ReasonCode.reAuthenticate);
    const { properties } = await client.expectDisconnect(ReasonCode.useAnotherServer);
    expect(properties.serverReference).toBe('other.example');
    await scene.expectEnded({ refused: 1 });
  });
});
