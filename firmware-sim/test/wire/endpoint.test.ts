import { describe, expect, it } from 'vitest';
import { endpointUrl, isLoopback, parseEndpoint } from '../../src/wire/endpoint.ts';

describe('parseEndpoint', () => {
  it.each([
    ['mqtt://broker', 'tcp', 'broker', 1883],
    ['tcp://broker', 'tcp', 'broker', 1883],
    ['mqtts://broker', 'tls', 'broker', 8883],
    ['ssl://broker', 'tls', 'broker', 8883],
    ['tls://broker', 'tls', 'broker', 8883],
    ['ws://broker', 'ws', 'broker', 8083],
    ['wss://broker', 'wss', 'broker', 8084],
    ['mqtt://broker:11883/', 'tcp', 'broker', 11883],
    ['ws://broker:80', 'ws', 'broker', 80],
    ['wss://broker:443/', 'wss', 'broker', 443],
    ['MQTT://Broker.Example:65535', 'tcp', 'Broker.Example', 65535],
    [' mqtt://127.0.0.1:1 ', 'tcp', '127.0.0.1', 1],
    ['mqtts://[::1]:8884', 'tls', '::1', 8884],
  ])('reads %s', (url, transport, host, port) => {
    expect(parseEndpoint(url)).toMatchObject({ transport, host, port, path: '/mqtt' });
  });

  it('takes the path of a WebSocket, with its query', () => {
    expect(parseEndpoint('ws://broker:8080/some/where?token=1').path).toBe('/some/where?token=1');
  });

  it('takes user name and password, and leaves them out where there are none', () => {
    expect(parseEndpoint('mqtt://a%40b:p%3Aw%2F%20@broker')).toMatchObject({ username: 'a@b', password: 'p:w/ ' });
    expect(parseEndpoint('mqtt://user@broker')).not.toHaveProperty('password');
    expect(parseEndpoint('mqtt://broker')).not.toHaveProperty('username');
  });

  it('gives TLS options to the two transports that use them', () => {
    const tls = { verify: false };
    expect(parseEndpoint('mqtts://broker', tls).tls).toBe(tls);
    expect(parseEndpoint('wss://broker', tls).tls).toBe(tls);
    expect(parseEndpoint('wss://broker').tls).toEqual({ verify: true });
    expect(parseEndpoint('mqtt://broker', tls)).not.toHaveProperty('tls');
  });

  it.each([
    ['broker', 'begin with mqtt://'],
    ['broker:1883', 'begin with mqtt://'],
    ['', 'begin with mqtt://'],
    ['mqqt://broker', "begins with 'mqqt://', which is no way to speak MQTT. Did you mean mqtt://?"],
    ['mqttss://broker', 'Did you mean mqtts://?'],
    ['gopher://broker', 'It must be mqtt://, mqtts://, ws:// or wss://.'],
    ['mqtt://', 'names no host'],
    ['mqtt://broker:0', 'ports go from 1 to 65535'],
    ['mqtt://broker:70000', 'host or port is wrong'],
    ['mqtt://bro ker', 'host or port is wrong'],
    ['mqtt://broker/path', "has the path '/path', which only ws:// and wss:// can have"],
    ['ws://broker/mqtt#part', "behind '#'"],
    ['mqtt://user:50%@broker', 'write it as %25'],
  ])('says what is wrong with %s', (url, sentence) => {
    expect(() => parseEndpoint(url)).toThrow(sentence);
  });

  it('never repeats a password', () => {
    for (const url of [
      'mqtt://u:secret@broker:0',
      'mqtt://u:secret@bro ker',
      'mqqt://u:secret@b',
      'mqtt://u:secret%@b',
    ]) {
      let text = '';
      try {
        parseEndpoint(url);
      } catch (error) {
        text = String(error);
      }
      expect(text).toContain('URL');
      expect(text).not.toContain('secret');
    }
  });
});

describe('endpointUrl', () => {
  it.each(['mqtt://broker:1883', 'mqtts://[::1]:8883', 'ws://broker:80/mqtt', 'wss://broker:443/some/where'])(
    'writes %s as it was read',
    (url) => {
      expect(endpointUrl(parseEndpoint(url))).toBe(url);
    },
  );

  it('leaves out who connects', () => {
    expect(endpointUrl(parseEndpoint('mqtt://user:secret@broker'))).toBe('mqtt://broker:1883');
  });
});

describe('isLoopback', () => {
  it.each([
    ['localhost', true],
    ['127.0.0.1', true],
    ['127.3.2.1', true],
    ['::1', false],
    ['127.example.com', false],
    ['10.0.0.1', false],
  ])('of %s is %s', (host, expected) => {
    expect(isLoopback({ transport: 'tcp', host, port: 1883, path: '/mqtt' })).toBe(expected);
  });
});
