import { isLoopbackAddress } from '../lib/ip-address.ts';

/** One request to a backend and what its answer may cost. */
export interface HttpRequest {
  readonly url: URL;
  /** What is sent in a POST; a GET without. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** From the request to the last byte of the answer, ms. */
  readonly timeoutMs: number;
  /** Longer answers are given up, bytes as the program sees them (decompressed). */
  readonly bytesMax: number;
  /** Ends the request early. */
  readonly closing: AbortSignal;
}

/** An answer with status 200. */
export interface HttpAnswer {
  readonly headers: Headers;
  readonly text: string;
}

/** No usable answer came. The message is a clause such as `no answer within 5000 ms`, with nothing of what was sent. */
export class HttpProblem extends Error {
  /** Status of the answer; 0 where there was none, or where it was one of 200 that is of no use. */
  readonly status: number;

  constructor(message: string, status = 0) {
    super(message);
    this.name = 'HttpProblem';
    this.status = status;
  }
}

/**
 * Reads the URL of a backend: https, or http to this machine, where nobody listens in.
 * @param what What it is the URL of, to begin the sentence: `The URL of the webhook`.
 * @throws Error of one sentence without the URL, which may hold secrets.
 */
export function backendUrl(text: string, what: string): URL {
  const url = URL.parse(text);
  if (url === null) throw new Error(`${what} is no URL: it must be like https://host/path.`);
  if (url.username !== '' || url.password !== '') {
    throw new Error(`${what} holds a user name or a password, which do not belong there.`);
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))) return url;
  throw new Error(`${what} must begin with https://; http:// is for this machine alone (127.0.0.1, [::1], localhost).`);
}

/** A URL as it may be logged: its query may hold secrets. */
export function urlForLog(url: URL): string {
  return `${url.origin}${url.pathname}`;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || isLoopbackAddress(hostname);
}

/**
 * Asks a backend and reads its whole answer. Redirects are not followed: they would lead where nobody has looked.
 * @throws HttpProblem for everything but an answer of status 200, of UTF-8 text, within time and size.
 */
export async function exchange(request: HttpRequest): Promise<HttpAnswer> {
  const timeout = AbortSignal.timeout(request.timeoutMs);
  try {
    const response = await fetch(request.url, {
      method: request.body === undefined ? 'GET' : 'POST',
      ...(request.body === undefined ? {} : { body: request.body }),
      headers: { accept: 'application/json', ...request.headers },
      redirect: 'manual',
      signal: AbortSignal.any([timeout, request.closing]),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      const redirects = response.status >= 300 && response.status < 400;
      const text = redirects ? 'a redirect, which is not followed' : 'not 200';
      throw new HttpProblem(`it answers with status ${response.status}, ${text}`, response.status);
    }
    return { headers: response.headers, text: await boundedText(response, request.bytesMax) };
  } catch (error) {
    if (error instanceof HttpProblem) throw error;
    if (request.closing.aborted) throw new HttpProblem('the broker is closing');
    if (timeout.aborted) throw new HttpProblem(`no answer within ${request.timeoutMs} ms`);
    throw new HttpProblem(`it cannot be reached (${causeOf(error)})`);
  }
}

async function boundedText({ body }: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (body !== null) {
    for await (const chunk of body) {
      length += chunk.length;
      // Leaving the loop gives the rest up.
      if (length > bytesMax) throw new HttpProblem(`its answer is longer than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new HttpProblem('its answer is not UTF-8 text');
  }
}

/** The code of an error of fetch, which hides it in its cause; messages may name addresses and are left out. */
function causeOf(error: unknown): string {
  const { cause, name } = error as Error & { cause?: NodeJS.ErrnoException };
  return cause?.code ?? cause?.name ?? name;
}
