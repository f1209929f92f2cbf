import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { backendUrl, exchange, type HttpAnswer, urlForLog } from '../../src/auth/http-exchange.ts';
import { findTool } from '../tools.ts';
import { HttpBackend, json } from './http-backend.ts';

function get(url: string, bytesMax = 1_000): Promise<HttpAnswer> {
  const closing = new AbortController().signal;
  return exchange({ url: new URL(url), timeoutMs: 60_000, bytesMax, closing });
}

test.each([
  'https://example.com/a?b',
  'https://192.0.2.1:8443/',
  'http://127.0.0.1:80/',
  'http://127.8.9.1/',
  'http://[::1]:8080/',
  'http://localhost/a',
  'http://LOCALHOST/a',
])('the URL %s may be asked', (url) => {
  expect(backendUrl(url, 'It').href).toBe(new URL(url).href);
});

test.each([
  'http://192.0.2.1/',
  'http://[::2]/',
  'http://0.0.0.0/',
  'http://localhost.example.com/',
  'http://127.0.0.1@example.com/',
  'https://:secret@example.com/',
  'data:application/json,{}',
  '',
])('the URL %j may not be asked', (url) => {
  expect(() => backendUrl(url, 'It')).toThrow(/^It /);
  expect(() => backendUrl(url, 'It')).not.toThrow('secret');
});

test('a URL is logged without its query', () => {
  expect(urlForLog(new URL('https://example.com:1/a?key=secret#secret'))).toBe('https://example.com:1/a');
});

test('an answer may be as long as its limit', async () => {
  await using backend = await HttpBackend.start(json('x'.repeat(998)));
  expect((await get(backend.url)).text).toHaveLength(1_000);
  await expect(get(backend.url, 999)).rejects.toThrow('its answer is longer than 999 bytes');
});

const openssl = findTool('openssl');

test.skipIf(openssl === undefined)('a server whose certificate nobody vouches for is not asked', async () => {
  const make =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout - -subj /CN=a -addext subjectAltName=IP:127.0.0.1';
  const pem = execFileSync(openssl ?? '', make.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  let requests = 0;
  const server = createServer({ key: pem, cert: pem }, (_request, response) => {
    requests += 1;
    response.end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(get(url)).rejects.toThrow('it cannot be reached (DEPTH_ZERO_SELF_SIGNED_CERT)');
    expect(requests).toBe(0);
  } finally {
    server.close();
  }
});
