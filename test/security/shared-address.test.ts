import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createConfig } from '../../src/config.ts';
import { type ConnectPacket, PacketType } from '../../src/protocol/packets.ts';
import { openSecurity } from '../../src/security.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { SILENT } from '../support/silent-logger.ts';

test('failed logins hold an address back, but not one that many clients share', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'trellis-shared-'));
  const passwordFile = join(directory, 'users');
  const salt = randomBytes(16);
  const hash = createHash('sha512').update('wonderland').update(salt).digest('base64');
  writeFileSync(passwordFile, `alice:$6$${salt.toString('base64')}$${hash}\n`, { mode: 0o600 });
  const config = createConfig({ auth: { passwordFile }, limits: { addressesExempt: ['10.0.0.0/8'] } });
  const security = await openSecurity(config, { hooks: {}, clock: new FakeClock(), logger: SILENT });
  const logIn = async (address: string, username: string, password: string): Promise<boolean> => {
    const packet: ConnectPacket = {
      type: PacketType.connect,
      protocolVersion: 5,
      clientId: 'c',
      cleanStart: true,
      keepAlive: 0,
      properties: {},
      username,
      password: Buffer.from(password),
    };
    const client = {
      clientId: 'c',
      username,
      protocolVersion: 5,
      remoteAddress: `${address}:5`,
      transport: 'tcp',
    } as const;
    return (await security.hooks.authenticate!(client, packet, () => true)).allow;
  };
  for (const [address, isLetIn] of [
    ['10.0.0.7', true],
    ['192.0.2.7', false],
  ] as const) {
    for (let index = 0; index < 60; index++) await logIn(address, `nobody-${index}`, 'x');
    expect(await logIn(address, 'alice', 'wonderland')).toBe(isLetIn);
  }
  security.close();
  rmSync(directory, { recursive: true });
});
