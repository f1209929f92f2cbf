import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import type { Credentials } from '../../src/auth/authenticator.ts';
import type { ClientInfo } from '../../src/hooks/hooks.ts';

/** A key pair for an algorithm. */
export function keyPairFor(algorithm: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' });
  if (algorithm === 'ES384') return generateKeyPairSync('ec', { namedCurve: 'P-384' });
  if (algorithm === 'ES512') return generateKeyPairSync('ec', { namedCurve: 'P-521' });
  if (algorithm === 'EdDSA' || algorithm === 'Ed25519') return generateKeyPairSync('ed25519');
  return generateKeyPairSync('rsa', { modulusLength: 2_048 });
}

/** A public key as PEM. */
export function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' });
}

/** A signed token. */
export function signed(
  key: KeyObject | Uint8Array,
  header: { alg: string; kid?: string },
  payload: Readonly<Record<string, unknown>>,
): Promise<string> {
  return new SignJWT({ ...payload }).setProtectedHeader(header).sign(key);
}

/** A token put together by hand. */
export function forged(header: unknown, payload: unknown, signature = ''): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(payload)}.${signature}`;
}

/** What a client brings. */
export function credentials(
  given: { password?: string | Uint8Array; username?: string; client?: Partial<ClientInfo> } = {},
): Credentials {
  const { password, username, client } = given;
  return {
    client: {
      clientId: 'client-1',
      username: username ?? '',
      protocolVersion: 5,
      remoteAddress: '192.0.2.7:40000',
      transport: 'tcp',
      ...client,
    },
    username,
    password: typeof password === 'string' ? Buffer.from(password) : password,
  };
}
