import type { AuthorizeRequest, Awaitable, ClientInfo, Hooks, Refusal } from '../hooks/hooks.ts';
import { stackText } from '../lib/error-text.ts';
import type { Logger } from '../lib/logger.ts';
import { ReasonCode } from '../protocol/reason-codes.ts';
import type { Access } from './access.ts';

/** Where rights are asked. */
export interface RightsContext {
  readonly hooks: Hooks;
  /** The access rules; undefined for none. */
  readonly access: Access | undefined;
  readonly logger: Logger;
}

const NOT_AUTHORIZED: Refusal = { reasonCode: ReasonCode.notAuthorized };
const HOOK_FAILED: Refusal = {
  reasonCode: ReasonCode.implementationSpecificError,
  reasonString: 'the authorize hook failed',
};

/** Asks the access rules, then the authorize hook; a hook that fails refuses. @returns undefined when it is allowed. */
export function authorize(
  context: RightsContext,
  client: ClientInfo,
  request: AuthorizeRequest,
): Awaitable<Refusal | undefined> {
  const { hooks, access } = context;
  const refusal = access?.refusalOf(client, request);
  if (refusal !== undefined) return refusal;
  if (hooks.authorize === undefined) return undefined;
  try {
    const verdict = hooks.authorize(client, request);
    if (!(verdict instanceof Promise)) return refusalOf(verdict);
    return verdict.then(
      // The rules may be others than when the hook was asked.
      (late) => refusalOf(late) ?? access?.refusalOf(client, request),
      (error: unknown) => failed(context, error),
    );
  } catch (error) {
    return failed(context, error);
  }
}

function refusalOf(verdict: boolean | Refusal): Refusal | undefined {
  if (verdict === true) return undefined;
  return typeof verdict === 'object' && verdict !== null ? verdict : NOT_AUTHORIZED;
}

function failed(context: RightsContext, error: unknown): Refusal {
  context.logger.error('the authorize hook failed: refused', {
    error: stackText(error),
  });
  return HOOK_FAILED;
}

/** Tells a refusal from what else a hook may return. */
export function isRefusal(value: object): value is Refusal {
  return 'reasonCode' in value;
}
