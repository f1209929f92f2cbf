import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import type { ScramMechanism } from '../../src/auth/scram-secret.ts';

/** What a test changes of a client that would otherwise do what RFC 5802 says. */
export interface ScramClientOptions {
  mechanism: ScramMechanism;
  username: string;
  password: string;
  nonce?: string;
  /** Before the signed part; `n,,` by default. */
  gs2Header?: string;
}

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ b[index]!));
}

/** The client side of SCRAM, written apart from the server side: it shares nothing with it. */
export class ScramClient {
  readonly #options: ScramClientOptions;
  readonly #digest: 'sha256' | 'sha512';
  readonly #gs2Header: string;
  readonly #bare: string;
  /** What the server has to sign; known after `final`. */
  #message = '';
  #salted = Buffer.alloc(0);

  constructor(options: ScramClientOptions) {
    this.#options = options;
    this.#digest = options.mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512';
    this.#gs2Header = options.gs2Header ?? 'n,,';
    const name = options.username.replaceAll('=', '=3D').replaceAll(',', '=2C');
    this.#bare = `n=${name},r=${options.nonce ?? 'fyko+d2lbbFgONRv9qkxdawL'}`;
  }

  first(): Buffer {
    return Buffer.from(this.#gs2Header + this.#bare);
  }

  /** @param serverFirst What the server answered. */
  final(serverFirst: Buffer): Buffer {
    const text = serverFirst.toString();
    const [, nonce, salt, iterations] = /^r=([^,]*),s=([^,]*),i=(\d+)$/.exec(text)!;
    const header = Buffer.from(this.#gs2Header).toString('base64');
    const withoutProof = `c=${header},r=${nonce}`;
    this.#message = `${this.#bare},${text},${withoutProof}`;
    const bytes = this.#digest === 'sha256' ? 32 : 64;
    const { password } = this.#options;
    this.#salted = pbkdf2Sync(password, Buffer.from(salt!, 'base64'), Number(iterations), bytes, this.#digest);
    const clientKey = this.#hmac(this.#salted, 'Client Key');
    const storedKey = createHash(this.#digest).update(clientKey).digest();
    const proof = xor(clientKey, this.#hmac(storedKey, this.#message));
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`);
  }

  /** What the last message of the server must be. */
  expected(): string {
    const serverKey = this.#hmac(this.#salted, 'Server Key');
    return `v=${this.#hmac(serverKey, this.#message).toString('base64')}`;
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#digest, key).update(text).digest();
  }
}
