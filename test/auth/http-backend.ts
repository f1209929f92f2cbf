import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as the backend saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** How a request is answered. */
export type Answer = (response: ServerResponse, request: SeenRequest) => void;

/** An HTTP server on loopback that answers as it is told and remembers what it was asked. */
export class HttpBackend implements AsyncDisposable {
  readonly seen: SeenRequest[] = [];
  /** How requests are answered from now on; one that ends no response is a backend that hangs. */
  answer: Answer;
  readonly #server: Server;

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        const { method = '', url: path = '', headers } = request;
        const seen = { method, path, headers, body };
        this.seen.push(seen);
        this.answer(response, seen);
      });
    });
  }

  static async start(answer: Answer): Promise<HttpBackend> {
    const backend = new HttpBackend(answer);
    backend.#server.listen(0, '127.0.0.1');
    await once(backend.#server, 'listening');
    return backend;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/path`;
  }

  /** Nobody listens at `url` from now on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** An answer in JSON. */
export function json(value: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
}

/** An answer that is wrong in one way. */
export const wrongAnswers: ReadonlyMap<string, { answer: Answer; reason: string }> = new Map([
  ['status 500', { answer: status(500), reason: 'it answers with status 500, not 200' }],
  ['status 404', { answer: status(404), reason: 'it answers with status 404, not 200' }],
  ['status 204', { answer: status(204), reason: 'it answers with status 204, not 200' }],
  [
    'a redirect',
    {
      answer: status(302, { location: '/elsewhere' }),
      reason: 'it answers with status 302, a redirect, which is not followed',
    },
  ],
  [
    'bytes that are not UTF-8',
    {
      answer: (response) => void response.end(Buffer.from([0x7b, 0xff, 0x7d])),
      reason: 'its answer is not UTF-8 text',
    },
  ],
  [
    'a connection that is cut',
    { answer: (response) => void response.destroy(), reason: 'it cannot be reached (UND_ERR_SOCKET)' },
  ],
  [
    'an answer that stops in the middle',
    {
      answer: (response): void => {
        response.writeHead(200, { 'content-length': '100' });
        response.write('{"', () => response.destroy());
      },
      reason: 'it cannot be reached (UND_ERR_SOCKET)',
    },
  ],
]);

function status(code: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return (response) => {
    response.writeHead(code, headers);
    response.end();
  };
}

/** Sends without end, as fast as it is read. */
export const endless: Answer = (response) => {
  const block = Buffer.alloc(65_536, ' ');
  const write = (): void => {
    while (!response.destroyed && response.write(block));
    if (!response.destroyed) response.once('drain', write);
  };
  response.on('error', () => undefined);
  response.writeHead(200);
  write();
};

/** Takes the request and says nothing. */
export const silent: Answer = () => undefined;
