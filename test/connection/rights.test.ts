import { describe, expect, test } from 'vitest';
import { authorize, isRefusal } from '../../src/connection/rights.ts';
import type { AuthorizeRequest, ClientInfo, Hooks } from '../../src/hooks/hooks.ts';
import { ReasonCode } from '../../src/protocol/reason-codes.ts';

const CLIENT: ClientInfo = { clientId: 'c', username: 'u', protocolVersion: 5, remoteAddress: 'a', transport: 'tcp' };
const REQUEST: AuthorizeRequest = { action: 'publish', topic: 't', qos: 1, retain: false };

/** Asks a hook; what it logs as an error is counted. */
async function ask(hook: Hooks['authorize']): Promise<{ reasonCode: number | undefined; errors: number }> {
  let errors = 0;
  const logger = {
    level: 'error',
    error: (): number => (errors += 1),
    warn() {},
    info() {},
    debug() {},
  } as const;
  const hooks: Hooks = hook === undefined ? {} : { authorize: hook };
  const refusal = await authorize({ hooks, access: undefined, logger }, CLIENT, REQUEST);
  return { reasonCode: refusal?.reasonCode, errors };
}

describe('rights', () => {
  test('are given where there is no hook, and where it says true, now or later', async () => {
    for (const hook of [undefined, () => true, async () => true]) {
      expect(await ask(hook)).toEqual({ reasonCode: undefined, errors: 0 });
    }
  });

  test('are asked for with who asks and what for', async () => {
    const asked: unknown[] = [];
    await ask((client, request) => {
      asked.push(client, request);
      return true;
    });
    expect(asked).toEqual([CLIENT, REQUEST]);
  });

  test('are refused with 0x87, or as the hook says', async () => {
    const { notAuthorized, quotaExceeded } = ReasonCode;
    for (const hook of [() => false, async () => false]) {
      expect(await ask(hook)).toEqual({ reasonCode: notAuthorized, errors: 0 });
    }
    expect(await ask(() => ({ reasonCode: quotaExceeded }))).toEqual({ reasonCode: quotaExceeded, errors: 0 });
  });

  test('are refused and the error is logged where the hook fails', async () => {
    const failing: Hooks['authorize'][] = [
      () => {
        throw new Error('a bug');
      },
      () => Promise.reject(new Error('a bug')),
    ];
    for (const hook of failing) {
      expect(await ask(hook)).toEqual({ reasonCode: ReasonCode.implementationSpecificError, errors: 1 });
    }
  });

  test('are refused for whatever else a hook may return', async () => {
    for (const verdict of [undefined, null, 1, 'yes', 0]) {
      const hook = (() => verdict) as unknown as NonNullable<Hooks['authorize']>;
      expect((await ask(hook)).reasonCode).toBe(ReasonCode.notAuthorized);
    }
  });

  test('tell a refusal by its reason code', () => {
    expect(isRefusal({ reasonCode: 0x87 })).toBe(true);
    expect(isRefusal({ topicName: 't' })).toBe(false);
  });
});
