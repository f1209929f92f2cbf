// A broker in a process of its own, with its state in memory. Argument: its configuration as JSON. It says where it listens,
// answers "counters", and ends when whoever started it does.
import { scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { createBroker } from '../../src/index.ts';
import type { AuthenticateResult, Hooks } from '../../src/hooks/hooks.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';
import { CANARY_PASSWORD } from './canary-password.ts';

const derive = promisify(scrypt) as (password: Uint8Array, salt: string, length: number) => Promise<Buffer>;
const [configuration = '{}', authentication = ''] = process.argv.slice(2);
const right = await derive(Buffer.from(CANARY_PASSWORD), 'salt', 32);

async function authenticate(password: Uint8Array): Promise<AuthenticateResult> {
  const derived = await derive(password, 'salt', 32);
  return timingSafeEqual(derived, right)
    ? { allow: true }
    : { allow: false, reasonCode: ReasonCode.badUserNameOrPassword };
}

const hooks: Hooks =
  authentication === 'scrypt'
    ? { authenticate: (_, connect) => authenticate(connect.password ?? Buffer.alloc(0)) }
    : {};
const broker = await createBroker({ ...(JSON.parse(configuration) as object), hooks });
process.on('message', () => process.send?.({ kind: 'counters', counters: broker.counters() }));
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'listening', ports: broker.listeners.map(({ port }) => port) });
