import { expect, test } from 'vitest';
import { CertificateAuthenticator, type CertificateIdentity } from '../../src/auth/certificate-authenticator.ts';
import type { Verdict } from '../../src/auth/authenticator.ts';
import type { ClientCertificate } from '../../src/hooks/hooks.ts';
import { credentials } from './tokens.ts';

const certificate: ClientCertificate = {
  commonName: 'sensor-1',
  alternativeNames: [
    'IP Address:192.0.2.1',
    'URI:urn:dev:1',
    'DNS:one.example',
    'DNS:two.example',
    'email:a@example.org',
  ],
  fingerprint: 'AA:BB',
};

function verdict(identity: CertificateIdentity, changes: Partial<ClientCertificate> = {}, username?: string): Verdict {
  const client = { certificate: { ...certificate, ...changes } };
  return new CertificateAuthenticator(identity).authenticate(
    credentials({ client, ...(username === undefined ? {} : { username }) }),
  );
}

test.each<[CertificateIdentity, string]>([
  ['commonName', 'sensor-1'],
  ['DNS', 'one.example'],
  ['URI', 'urn:dev:1'],
  ['email', 'a@example.org'],
])('the user name is the %s', (identity, username) => {
  expect(verdict(identity)).toEqual({ kind: 'accepted', username });
  expect(verdict(identity, {}, username)).toEqual({ kind: 'accepted', username });
});

test('without a certificate the client is not known here', () => {
  expect(new CertificateAuthenticator('commonName').authenticate(credentials({ username: 'sensor-1' }))).toEqual({
    kind: 'unknown',
    reason: 'no client certificate',
  });
});

test('a certificate without the name is refused', () => {
  expect(verdict('commonName', { commonName: '' })).toEqual({
    kind: 'refused',
    reason: 'the certificate has no common name',
  });
  for (const alternativeNames of [[], ['IP Address:192.0.2.1'], ['dns:a'], ['DNS:'], ['xDNS:a']]) {
    expect(verdict('DNS', { alternativeNames })).toEqual({
      kind: 'refused',
      reason: 'the certificate has no alternative name of kind DNS',
    });
  }
});

test.each(['a\0', 'a\nb', 'a\u007f', '\u202ea', 'x'.repeat(257), 'a\ud800'])('the name %j is refused', (name) => {
  expect(verdict('commonName', { commonName: name })).toEqual({
    kind: 'refused',
    reason: 'the common name of the certificate is not fit for a user name',
  });
  expect(verdict('URI', { alternativeNames: [`URI:${name}`, 'URI:good'] })).toEqual({
    kind: 'refused',
    reason: 'the alternative name of kind URI of the certificate is not fit for a user name',
  });
});

test.each(['', 'sensor-2', 'SENSOR-1', ' sensor-1'])('the other user name %j is refused', (username) => {
  expect(verdict('commonName', {}, username)).toEqual({
    kind: 'refused',
    reason: 'the user name is not that of the certificate',
  });
});
