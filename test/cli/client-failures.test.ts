import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { Packet } from 'mqtt-packet';
import { politeScript, type Script, ScriptedBroker } from './scripted-broker.ts';
import { endAll, finished, trellis } from './trellis.ts';

let brokers: ScriptedBroker[] = [];

afterEach(() => {
  for (const broker of brokers) broker.close();
  brokers = [];
});
afterAll(endAll);

async function scripted(script: Script): Promise<ScriptedBroker> {
  const broker = await ScriptedBroker.listen(script);
  brokers.push(broker);
  return broker;
}

/** A port of loopback on which nothing listens. */
async function closedPort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? String(address.port) : '';
}

async function failure(args: readonly string[], input = ''): Promise<string> {
  const { code, stdout, stderr } = await finished(args, { input });
  expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr });
  return stderr;
}

const pub = ['pub', '-t', 'a', '-m', 'x', '-p'];
const sub = ['sub', '-t', 'a', '-p'];

test('where nothing listens, pub and sub say so', async () => {
  const port = await closedPort();
  const sentence = `trellis: Nothing accepts connections at 127.0.0.1:${port}.\n`;
  expect(await failure([...pub, port])).toBe(sentence);
  expect(await failure([...sub, port])).toBe(sentence);
  expect(await failure([...sub, port, '--ws'])).toBe(
    `trellis: Nothing accepts connections at ws://127.0.0.1:${port}/mqtt.\n`,
  );
  expect(await failure(['sub', '-t', 'a', '--unix', '/nonexistent.sock'])).toBe(
    'trellis: There is no Unix socket /nonexistent.sock.\n',
  );
  expect(await failure([...pub, port, '--quiet'])).toBe('');
});

test.each([
  ['5', 0x87, 'Not authorized (0x87), "go away"'],
  ['5', 0x84, 'Unsupported Protocol Version (0x84), "go away"'],
  ['311', 5, 'Not authorized (0x05)'],
  ['31', 2, 'Identifier rejected (0x02)'],
])('with MQTT %s a CONNACK of %i is told in words', async (version, code, words) => {
  const broker = await scripted((_, client) => {
    client.send({
      cmd: 'connack',
      reasonCode: code,
      returnCode: code,
      sessionPresent: false,
      properties: { reasonString: 'go away' },
    });
    client.socket.end();
  });
  const sentence = `trellis: The broker refused the connection: ${words}.\n`;
  expect(await failure([...pub, broker.port, '-V', version])).toBe(sentence);
  expect(await failure([...sub, broker.port, '-V', version])).toBe(sentence);
  expect(broker.clients).toHaveLength(2);
});

test('a broker that closes instead of answering, and one that talks something else', async () => {
  const silent = await scripted((_, client) => client.socket.end());
  expect(await failure([...pub, silent.port])).toBe(
    'trellis: The broker closed the connection instead of accepting it.\n',
  );
  const http = await scripted((_, client) => client.socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  expect(await failure([...sub, http.port])).toMatch(/^trellis: The connection to 127\.0\.0\.1:\d+ failed: .+\.\n$/);
});

test('a WebSocket server without MQTT is told apart', async () => {
  const http = await scripted(() => {});
  http.close();
  const plain = createServer((socket) => socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')).listen(
    0,
    '127.0.0.1',
  );
  await once(plain, 'listening');
  const { port } = plain.address() as { port: number };
  expect(await failure([...sub, String(port), '--ws'])).toBe(
    `trellis: The connection to ws://127.0.0.1:${port}/mqtt failed: Unexpected server response: 404.\n`,
  );
  plain.close();
});

test.each([
  ['1', 'puback'],
  ['2', 'pubrec'],
] as const)('with QoS %s a refusal in %s is an error', async (qos, cmd) => {
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== 'publish') return false;
      client.send({ cmd, messageId: packet.messageId ?? 0, reasonCode: 0x97, properties: { reasonString: 'no room' } });
      return true;
    }),
  );
  expect(await failure([...pub, broker.port, '-q', qos])).toBe(
    'trellis: The broker refused the message: Quota exceeded (0x97), "no room".\n',
  );
});

test('PUBACK with "no matching subscribers" is a success', async () => {
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== 'publish') return false;
      client.send({ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: 0x10 });
      return true;
    }),
  );
  expect((await finished([...pub, broker.port, '-q', '1'])).code).toBe(0);
});

test.each(['1', '2'])('with QoS %s pub does not end before the last acknowledgement', async (qos) => {
  let acknowledge: (() => void) | undefined;
  const last = qos === '1' ? 'publish' : 'pubrel';
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== last || (packet.cmd === 'publish' && packet.qos === 0)) return false;
      acknowledge = () =>
        client.send({ cmd: qos === '1' ? 'puback' : 'pubcomp', messageId: packet.messageId ?? 0, reasonCode: 0 });
      return true;
    }),
  );
  const publisher = trellis([...pub, broker.port, '-q', qos, '-d']);
  await publisher.until('stderr', qos === '1' ? /sends publish/ : /sends pubrel/);
  // A second client has come and gone meanwhile: the first one still waits.
  expect((await finished(['pub', '-t', 'b', '-n', '-p', broker.port])).code).toBe(0);
  expect(publisher.process.exitCode).toBeNull();
  expect(publisher.stderr).not.toContain('sends disconnect');
  acknowledge!();
  expect(await publisher.exited).toBe(0);
  expect(broker.clients[0]!.received.at(-1)?.cmd).toBe('disconnect');
});

test('a connection lost before the acknowledgement is an error, also while stdin is still open', async () => {
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== 'publish') return false;
      client.socket.destroy();
      return true;
    }),
  );
  expect(await failure([...pub, broker.port, '-q', '1'])).toBe(
    'trellis: The connection was lost. 1 not acknowledged.\n',
  );
  const open = trellis(['pub', '-t', 'a', '-l', '-q', '1', '-p', broker.port], { input: null });
  open.process.stdin!.write('one\n');
  expect(await open.exited).toBe(1);
  expect(open.stderr).toBe('trellis: The connection was lost. 1 not acknowledged.\n');
});

test('pub keeps to the Receive Maximum of the broker', async () => {
  let outstanding = 0;
  let most = 0;
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd === 'connect') {
        client.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { receiveMaximum: 2 } });
        return true;
      }
      if (packet.cmd !== 'publish') return false;
      outstanding += 1;
      most = Math.max(most, outstanding);
      setImmediate(() => {
        outstanding -= 1;
        client.send({ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: 0 });
      });
      return true;
    }),
  );
  const { code } = await finished(['pub', '-t', 'a', '-l', '-q', '1', '-p', broker.port], { input: 'x\n'.repeat(50) });
  expect(code).toBe(0);
  expect(broker.received.filter(({ cmd }) => cmd === 'publish')).toHaveLength(50);
  expect(most).toBe(2);
});

test('a refused subscription is an error that names the filter', async () => {
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== 'subscribe') return false;
      client.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0, 0x87] });
      return true;
    }),
  );
  const stderr = await failure(['sub', '-t', 'mine', '-t', 'yours', '-p', broker.port]);
  expect(stderr).toBe('trellis: The broker refused the subscription to "yours": Not authorized (0x87).\n');
});

test('a session taken over by another client is left to it', async () => {
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd !== 'subscribe') return false;
      client.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0] });
      client.send({ cmd: 'disconnect', reasonCode: 0x8e });
      client.socket.end();
      return true;
    }),
  );
  expect(await failure([...sub, broker.port])).toBe(
    'trellis: The broker ended the connection: Session taken over (0x8E).\n',
  );
  expect(broker.clients).toHaveLength(1);
});

test('sub connects again when an established connection is lost, and subscribes again where the session is gone', async () => {
  let connections = 0;
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd === 'connect') connections += 1;
      if (packet.cmd !== 'subscribe') return false;
      client.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [0] });
      if (connections === 1) client.socket.destroy();
      else client.send({ cmd: 'publish', topic: 'a', payload: 'back', qos: 0, dup: false, retain: false });
      return true;
    }),
  );
  const { code, stdout, stderr } = await finished([...sub, broker.port, '-C', '1']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: 'back\n' });
  expect(stderr).toBe('trellis: The connection was lost. Trying again every second.\ntrellis: Connected again.\n');
});

test('a QoS 2 message that was accepted is still printed when the end comes before its release, a new one is left to the broker', async () => {
  let release: () => void = () => {};
  const publishing = (messageId: number): Packet => {
    return { cmd: 'publish', topic: 'a', payload: `${messageId}`, qos: 2, dup: false, retain: false, messageId };
  };
  const broker = await scripted(
    politeScript((packet, client) => {
      if (packet.cmd === 'subscribe') {
        client.send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [2] });
        client.send(publishing(1));
        release = () => {
          client.send(publishing(2));
          client.send({ cmd: 'pubrel', messageId: 1, reasonCode: 0 });
        };
        return true;
      }
      return false;
    }),
  );
  const subscriber = trellis([...sub, broker.port, '-q', '2', '-d']);
  await subscriber.until('stderr', /sends pubrec 1/);
  subscriber.process.kill('SIGINT');
  await subscriber.until('stderr', /Ends/);
  release();
  expect(await subscriber.exited).toBe(0);
  expect(subscriber.stdout).toBe('1\n');
  const answers = broker.received.map(({ cmd, messageId }) => `${cmd} ${messageId ?? ''}`);
  expect(answers.slice(2)).toEqual(['pubrec 1', 'pubcomp 1', 'disconnect ']);
});

test('what the flags say about the session is in CONNECT, SUBSCRIBE and DISCONNECT', async () => {
  const broker = await scripted(politeScript());
  const flags = [
    '-i',
    'me',
    '-u',
    'name',
    '-P',
    'secret',
    '-k',
    '5',
    '-c',
    '-q',
    '1',
    '-C',
    '9',
    '-E',
    '--retain-as-published',
  ];
  const will = [
    '--will-topic',
    'w',
    '--will-payload',
    'bye',
    '--will-qos',
    '2',
    '--will-retain',
    '-D',
    'will',
    'will-delay-interval',
    '9',
  ];
  const properties = [
    '-D',
    'connect',
    'request-problem-information',
    '0',
    '-D',
    'subscribe',
    'user-property',
    'k',
    'v',
    '-D',
    'disconnect',
    'session-expiry-interval',
    '60',
  ];
  expect((await finished([...sub, broker.port, ...flags, ...will, ...properties])).code).toBe(0);
  const [connect, subscribe, disconnect] = broker.received;
  expect(connect).toMatchObject({
    cmd: 'connect',
    protocolVersion: 5,
    clientId: 'me',
    username: 'name',
    password: Buffer.from('secret'),
    keepalive: 5,
    clean: false,
    properties: { sessionExpiryInterval: 0xffff_ffff, requestProblemInformation: false },
    will: { topic: 'w', payload: Buffer.from('bye'), qos: 2, retain: true, properties: { willDelayInterval: 9 } },
  });
  expect(subscribe).toMatchObject({
    cmd: 'subscribe',
    subscriptions: [{ topic: 'a', qos: 1, rap: true }],
    properties: { userProperties: { k: 'v' } },
  });
  expect(disconnect).toMatchObject({ cmd: 'disconnect', properties: { sessionExpiryInterval: 60 } });
});

test('-V 31 and -V 311 say what those versions say, with a clean session and a client id of at most 23 characters', async () => {
  const broker = await scripted(politeScript());
  for (const version of ['31', '311']) expect((await finished([...pub, broker.port, '-V', version])).code).toBe(0);
  const [first, second] = broker.clients.map(({ received }) => received[0]);
  expect(first).toMatchObject({ protocolId: 'MQIsdp', protocolVersion: 3, clean: true });
  expect(second).toMatchObject({ protocolId: 'MQTT', protocolVersion: 4, clean: true });
  expect((first as { clientId: string }).clientId).toMatch(/^trellis-.{1,15}$/);
});
