import { describe, expect, it } from 'vitest';
import type { Client, ClientFactory, ClientHandler, ConnectOptions } from '../../src/client/client.ts';
import { SessionEraser, type StoredSession } from '../../src/run/session-eraser.ts';
import type { Endpoint } from '../../src/wire/endpoint.ts';

const endpoint: Endpoint = { transport: 'tcp', host: 'broker', port: 1883, path: '/mqtt' };

/** A client that does nothing by itself. */
class FakeClient {
  readonly handler: ClientHandler;
  endpoint: Endpoint | undefined;
  options: ConnectOptions | undefined;
  disconnects = 0;

  constructor(handler: ClientHandler) {
    this.handler = handler;
  }

  connect(to: Endpoint, _path: unknown, options: ConnectOptions): void {
    this.endpoint = to;
    this.options = options;
  }

  disconnect(): void {
    this.disconnects += 1;
  }

  /** The broker accepts the connection. */
  accept(): void {
    this.handler.onConnected({ sessionPresent: false, receiveMaximum: 65_535, keepAliveSeconds: 30 });
  }

  end(): void {
    this.handler.onEnd({ cause: 'ended', text: 'the connection was ended in order' });
  }

  fail(): void {
    this.handler.onEnd({ cause: 'refused', text: 'nobody listens there' });
  }
}

function eraser(): { eraser: SessionEraser; clients: FakeClient[] } {
  const clients: FakeClient[] = [];
  const factory: ClientFactory = {
    create: (handler) => {
      const client = new FakeClient(handler);
      clients.push(client);
      return client as unknown as Client;
    },
  };
  return { eraser: new SessionEraser(factory), clients };
}

function sessions(count: number, first = 0): StoredSession[] {
  return Array.from({ length: count }, (_, place) => ({
    endpoint,
    options: { clientId: `d-${first + place}`, version: 4 },
  }));
}

describe('SessionEraser', () => {
  it('connects as the client of the session, to its broker, with a clean session that ends with the connection', () => {
    const { eraser: one, clients } = eraser();
    one.erase([{ endpoint, options: { clientId: 'd-1', version: 3, username: 'me', password: 'secret' } }]);
    expect(clients[0]?.endpoint).toBe(endpoint);
    expect(clients[0]?.options).toStrictEqual({
      clientId: 'd-1',
      version: 3,
      username: 'me',
      password: 'secret',
      cleanStart: true,
      sessionExpirySeconds: 0,
      keepAliveSeconds: 30,
    });
  });

  it('disconnects when it is connected, and not before', () => {
    const { eraser: one, clients } = eraser();
    one.erase(sessions(1));
    expect(clients[0]?.disconnects).toBe(0);
    clients[0]?.accept();
    expect([clients[0]?.disconnects, one.pending]).toEqual([1, 1]);
    clients[0]?.end();
    expect(one.pending).toBe(0);
  });

  it('opens no more than 50 connections at once, one for each session', () => {
    const { eraser: one, clients } = eraser();
    one.erase(sessions(120));
    expect([clients.length, one.pending]).toEqual([50, 120]);
    for (let ended = 0; ended < 120; ended++) {
      expect(clients).toHaveLength(Math.min(120, 50 + ended));
      clients[ended]?.accept();
      expect(one.pending).toBe(120 - ended);
      clients[ended]?.end();
    }
    expect([clients.length, one.pending]).toEqual([120, 0]);
    expect(new Set(clients.map(({ options }) => options?.clientId)).size).toBe(120);
  });

  it('opens no more than 50 at once when it is given more meanwhile', () => {
    const { eraser: one, clients } = eraser();
    one.erase(sessions(30));
    one.erase(sessions(30, 30));
    expect([clients.length, one.pending]).toEqual([50, 60]);
    clients[7]?.end();
    expect([clients.length, one.pending]).toEqual([51, 59]);
  });

  it('goes on when sessions cannot be ended, and leaves those behind', () => {
    const { eraser: one, clients } = eraser();
    one.erase(sessions(60));
    for (let ended = 0; ended < 60; ended++) {
      if (ended % 2 === 0) clients[ended]?.fail();
      else {
        clients[ended]?.accept();
        clients[ended]?.end();
      }
    }
    expect([clients.length, one.pending]).toEqual([60, 0]);
    expect(clients.map(({ disconnects }) => disconnects)).toEqual(Array.from({ length: 60 }, (_, place) => place % 2));
  });

  it('takes sessions again after it has ended all', () => {
    const { eraser: one, clients } = eraser();
    one.erase(sessions(1));
    clients[0]?.end();
    one.erase(sessions(2, 1));
    expect([clients.length, one.pending]).toEqual([3, 2]);
  });

  it('has nothing to do without sessions', () => {
    const { eraser: one, clients } = eraser();
    one.erase([]);
    expect([clients.length, one.pending]).toEqual([0, 0]);
  });
});
