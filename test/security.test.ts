import { expect, test } from 'vitest';
import { createConfig } from '../src/config.ts';
import type { ClientInfo, Hooks } from '../src/hooks/hooks.ts';
import { type ConnectPacket, PacketType } from '../src/protocol/packets.ts';
import { openSecurity } from '../src/security.ts';
import { FakeClock } from './fakes/fake-clock.ts';
import { SILENT } from './support/silent-logger.ts';

const client: ClientInfo = {
  clientId: 'c',
  username: 'alice',
  protocolVersion: 5,
  remoteAddress: '192.0.2.7:1',
  transport: 'tcp',
};
const connect: ConnectPacket = {
  type: PacketType.connect,
  protocolVersion: 5,
  clientId: 'c',
  cleanStart: true,
  keepAlive: 0,
  properties: {},
  username: 'alice',
} as ConnectPacket;

function hooksUnder(allowAnonymous: 'everywhere' | 'nowhere', hooks: Hooks = {}): Promise<Hooks> {
  const parts = { clock: new FakeClock(), logger: SILENT, hooks };
  return openSecurity(createConfig({ auth: { allowAnonymous } }), parts).then((security) => security.hooks);
}

test('where anybody may connect and nothing says who clients are, one with a user name may as well', async () => {
  expect((await hooksUnder('everywhere')).authenticate).toBeUndefined();
  const { authenticate } = await hooksUnder('nowhere');
  expect(await authenticate!(client, connect, () => true)).toMatchObject({ allow: false });
});

test.each(['everywhere', 'nowhere'] as const)('a hook is asked about a client with a user name: %s', async (where) => {
  const hook = { authenticate: () => ({ allow: true, username: 'by hook' }) as const };
  const { authenticate } = await hooksUnder(where, hook);
  expect(await authenticate!(client, connect, () => true)).toMatchObject({ allow: true, username: 'by hook' });
});
