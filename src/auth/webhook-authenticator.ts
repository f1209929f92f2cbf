import { isUtf8 } from 'node:buffer';
import { readBoundedText } from '../lib/bounded-file.ts';
import type { Clock } from '../lib/clock.ts';
import { hostOf } from '../lib/ip-address.ts';
import type { Logger } from '../lib/logger.ts';
import type { Authenticator, Credentials, Verdict } from './authenticator.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { isFitName, isModest, isObject, readGrants, readRoles } from './claims.ts';
import { TurnQueue } from './turn-queue.ts';
import { backendUrl, exchange, HttpProblem, urlForLog } from './http-exchange.ts';
import { VerdictCache } from './verdict-cache.ts';

/** Which server is asked, and how patiently. */
export interface WebhookOptions {
  /** Https, or http to this machine. */
  readonly url: string;
  /** File with a token that is sent as `Authorization: Bearer`; undefined for none. Nobody else may read it. */
  readonly tokenFile: string | undefined;
  /** For one request, ms; 100 to 60,000. A client waits for its turn at most twice as long before that. */
  readonly timeoutMs: number;
  /** Requests at once; 1 to 1,000. */
  readonly requestsMax: number;
  /** Clients waiting for their turn beside them; 0 to 100,000. */
  readonly waitingMax: number;
  /** Failures in a row after which clients are refused without a request; 1 to 1,000. */
  readonly failuresMax: number;
  /** For how long, before one request is tried again, ms; 100 to 600,000. */
  readonly pauseMs: number;
  /** How long answers are remembered, ms; 0 (not at all) to 86,400,000. A right that is taken away lives on for so long. */
  readonly cacheMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const answerBytesMax = 65_536;
const tokenBytesMax = 8_192;
const depthMax = 4;
const valuesMax = 2_000;
/** Together with `cachedLengthMax` some 16 MiB. */
const cachedMax = 4_096;
/** Characters of an answer that is worth remembering. */
const cachedLengthMax = 4_096;

/** What an answer may hold; another member may have been meant to take a right away. */
const members: ReadonlySet<string> = new Set(['result', 'username', 'roles', 'grants', 'expiresAt']);

/**
 * Asks a server over HTTP, one POST with JSON for each client:
 *
 *     {"clientId": "c", "username": "u", "password": "p", "address": "192.0.2.7", "transport": "tls",
 *      "protocolVersion": 5, "certificate": {"commonName": ..., "alternativeNames": [...], "fingerprint": ...}}
 *
 * What there is none of is null. A password that is not UTF-8 is null as well, and comes as `passwordBase64`.
 * The answer has status 200 and says
 *
 *     {"result": "allow" | "deny" | "ignore", "username": "u", "roles": ["r"],
 *      "grants": {"pub": [filters], "sub": [filters], "all": [filters]}, "expiresAt": 1767225600000}
 *
 * where all but `result` may be left out or null, and belongs to `allow`; `expiresAt` is in ms since the epoch. It is like EMQX's
 * HTTP authenticator in its three results; names and rights differ. Everything else refuses the client.
 */
export class WebhookAuthenticator implements Authenticator {
  readonly name = 'webhook';
  readonly #options: WebhookOptions;
  readonly #url: URL;
  readonly #closing = new AbortController();
  readonly #breaker: CircuitBreaker;
  readonly #queue: TurnQueue;
  /** Another one after each reload: an answer to a question from before it is remembered where nobody looks. */
  #cache: VerdictCache;
  /** Empty for none. */
  #token: string;

  private constructor(options: WebhookOptions, url: URL, token: string) {
    const { clock, logger } = options;
    this.#options = options;
    this.#url = url;
    this.#token = token;
    this.#cache = emptyCache(options);
    const { requestsMax, waitingMax, timeoutMs } = options;
    this.#queue = new TurnQueue({ concurrency: requestsMax, waitingMax, waitMsMax: timeoutMs }, clock);
    this.#breaker = new CircuitBreaker({
      failuresMax: options.failuresMax,
      pauseMs: options.pauseMs,
      clock,
      onChange(isOpen) {
        const fields = { url: urlForLog(url), pauseMs: options.pauseMs };
        if (isOpen) logger.error('the webhook fails: clients are refused without asking it for a while', fields);
        else logger.info('the webhook answers again', { url: fields.url });
      },
    });
  }

  /**
   * Checks the URL and reads the token; asks nothing yet.
   * @throws Error of one sentence where they cannot be used.
   */
  static async open(options: WebhookOptions): Promise<WebhookAuthenticator> {
    const url = backendUrl(options.url, 'The URL of the webhook');
    return new WebhookAuthenticator(options, url, await readToken(options.tokenFile));
  }

  async authenticate(credentials: Credentials): Promise<Verdict> {
    const cache = this.#cache;
    const key = cache.keyOf(questionOf(credentials));
    const known = cache.get(key);
    if (known !== undefined) return known;
    if (this.#breaker.refuses) return resting;
    const { isWanted = () => true, goesFirst = false } = credentials;
    const result = await this.#queue.run(
      // Those before it may have found out that the webhook fails. The question is put together anew: in JSON, the password
      // of each who waits could take six times the memory that it came in.
      async () => (this.#breaker.tryEnter() ? this.#ask(credentials, key, cache) : resting),
      { isWanted, goesFirst },
    );
    if (result.kind === 'done') return result.value;
    return failed(result.kind === 'busy' ? busy : late);
  }

  /** Reads the token anew and forgets all answers. */
  async reload(): Promise<void> {
    this.#token = await readToken(this.#options.tokenFile);
    this.#cache = emptyCache(this.#options);
  }

  close(): void {
    this.#closing.abort();
  }

  async #ask(credentials: Credentials, key: string, cache: VerdictCache): Promise<Verdict> {
    try {
      const text = await this.#answerTo(questionOf(credentials));
      const verdict = verdictOf(text, credentials.username, this.#options.clock.calendarNow());
      this.#breaker.succeeded();
      if (text.length <= cachedLengthMax) cache.set(key, verdict);
      return verdict;
    } catch (error) {
      if (!(error instanceof HttpProblem)) {
        this.#breaker.failed();
        throw error;
      }
      const reason = `the webhook gives no answer: ${error.message}`;
      if (isAboutTheRequest(error.status)) {
        // Whoever makes it dislike one request must not shut the others out: it is there, and judges them one by one.
        this.#breaker.succeeded();
        return refused(reason);
      }
      if (!this.#closing.signal.aborted) this.#breaker.failed();
      return failed(reason);
    }
  }

  async #answerTo(body: string): Promise<string> {
    const headers = {
      'content-type': 'application/json',
      ...(this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
    };
    const { timeoutMs } = this.#options;
    const closing = this.#closing.signal;
    return (await exchange({ url: this.#url, body, headers, timeoutMs, bytesMax: answerBytesMax, closing })).text;
  }
}

const busy = 'too many clients wait for the webhook';
const late = 'nobody waits for the webhook any more, or it is too slow for so many clients';
const resting: Verdict = failed('the webhook failed too often and is not asked for a while');

function refused(reason: string): Verdict {
  return { kind: 'refused', reason };
}

function failed(reason: string): Verdict {
  return { kind: 'failed', reason };
}

function emptyCache({ cacheMs, clock }: WebhookOptions): VerdictCache {
  return new VerdictCache({ entriesMax: cachedMax, forMs: cacheMs, clock });
}

/** Whether a status is about one request; 408 and 429 are about how many there are. */
function isAboutTheRequest(status: number): boolean {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

/** @throws Error of one sentence. */
async function readToken(path: string | undefined): Promise<string> {
  if (path === undefined) return '';
  const token = (await readBoundedText(path, { bytesMax: tokenBytesMax, secret: true })).trimEnd();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error(`${path} holds no token: it must be one line of visible ASCII characters without spaces.`);
}

/** What is asked; the same for the same client, so that the answer may be remembered. */
function questionOf({ client, username, password }: Credentials): string {
  const { clientId, remoteAddress, transport, protocolVersion, certificate } = client;
  const { commonName, alternativeNames, fingerprint } = certificate ?? {};
  const isText = password === undefined || isUtf8(password);
  return JSON.stringify({
    clientId,
    username: username ?? null,
    password: password === undefined || !isText ? null : Buffer.from(password).toString(),
    // Two passwords that differ never look the same, as they would if text and base64 shared a member.
    ...(isText ? {} : { passwordBase64: Buffer.from(password).toString('base64') }),
    address: hostOf(remoteAddress),
    transport,
    protocolVersion,
    certificate: certificate === undefined ? null : { commonName, alternativeNames, fingerprint },
  });
}

/**
 * What an answer means. Where it does not fit the client that was asked for, that client alone is refused.
 * @throws HttpProblem where it cannot be understood.
 */
function verdictOf(text: string, username: string | undefined, now: number): Verdict {
  const { result, ...rights } = answerIn(text);
  if (result === 'deny') return refused('the webhook denies it');
  if (result === 'ignore') return { kind: 'unknown', reason: 'the webhook does not know it' };
  if (result !== 'allow') throw new HttpProblem('its answer has no result allow, deny or ignore');
  const name = rights['username'] ?? username;
  if (name === undefined) return refused('the webhook allows a client without a user name and names none');
  if (!isFitName(name)) return refused('the webhook allows a user name that is not fit for one');
  const roles = readRoles(rights['roles'] ?? []);
  if (roles === undefined) return refused('the roles that the webhook gives are neither a role nor a list of roles');
  const grants = readGrants(rights['grants'] ?? {});
  if (grants === undefined)
    return refused('the grants that the webhook gives are no object of pub, sub and all with topic filters');
  const expiresAt = rights['expiresAt'] ?? Infinity;
  if (typeof expiresAt !== 'number') return refused('expiresAt that the webhook gives is no number');
  if (expiresAt <= now) return refused('the right that the webhook gives has expired');
  return { kind: 'accepted', username: name, roles, grants, ...(expiresAt === Infinity ? {} : { expiresAt }) };
}

/** @throws HttpProblem */
function answerIn(text: string): Readonly<Record<string, unknown>> {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new HttpProblem('its answer is no JSON');
  }
  if (!isObject(answer)) throw new HttpProblem('its answer is no object');
  if (!isModest(answer, depthMax, valuesMax)) throw new HttpProblem('its answer is nested too deeply or too large');
  if (!Object.keys(answer).every((member) => members.has(member))) {
    throw new HttpProblem(`its answer holds something else than ${[...members].join(', ')}`);
  }
  return answer;
}
