import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** Answers by command; those that are not named get `+OK`. */
export interface RedisScript {
  /** Text of INFO. */
  info: string;
  get?: string;
  /** Value of the parameter that CONFIG GET asks for. */
  config?: string;
}

/** A server that speaks as much of the Redis protocol as it takes to claim to be another version. Use it with `await using`. */
export class ScriptedRedis {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(script: RedisScript) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        for (let command = commandAt(text); command !== undefined; command = commandAt(text)) {
          text = text.slice(command.length);
          socket.write(answer(command.name, script));
        }
      });
    });
  }

  /** Starts one on a free port of loopback. */
  static async start(script: RedisScript): Promise<ScriptedRedis> {
    const redis = new ScriptedRedis(script);
    redis.#server.listen(0, '127.0.0.1');
    await once(redis.#server, 'listening');
    return redis;
  }

  /** `redis://127.0.0.1:40123` */
  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await this.#server[Symbol.asyncDispose]();
  }
}

/** The first whole command (an array of bulk strings of ASCII) in a text. */
function commandAt(text: string): { name: string; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  let name = '';
  let length = head[0].length;
  for (let index = 0; index < Number(head[1]); index += 1) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(length));
    if (size === null) return undefined;
    const begin = length + size[0].length;
    length = begin + Number(size[1]) + 2;
    if (index === 0) name = text.slice(begin, length - 2).toLowerCase();
  }
  return length <= text.length ? { name, length } : undefined;
}

function answer(name: string, script: RedisScript): string {
  switch (name) {
    case 'info':
      return bulk(script.info);
    case 'get':
      return script.get === undefined ? '$-1\r\n' : bulk(script.get);
    case 'config':
      return `*2\r\n${bulk('appendfsync')}${bulk(script.config ?? '')}`;
    case 'exists':
      return ':0\r\n';
    default:
      return '+OK\r\n';
  }
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}
