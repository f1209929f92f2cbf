import type { X509Certificate } from 'node:crypto';
import type { ClientCertificate } from './byte-stream.ts';

/** What identifies the holder of a certificate that was verified already. */
export function describeCertificate(certificate: X509Certificate): ClientCertificate {
  return {
    commonName: commonNameOf(certificate),
    alternativeNames: alternativeNamesOf(certificate),
    fingerprint: certificate.fingerprint256,
  };
}

/** Empty for none, for several, and for one with control characters, which no name has and a log must not see. */
function commonNameOf(certificate: X509Certificate): string {
  const name: unknown = certificate.toLegacyObject().subject.CN;
  if (typeof name !== 'string' || /\p{Cc}/u.test(name)) return '';
  return name;
}

/** The alternative names of a certificate, such as `DNS:example.org`; none of them cut or joined by characters inside it. */
export function alternativeNamesOf(certificate: X509Certificate): string[] {
  return splitAlternativeNames(certificate.subjectAltName ?? '');
}

/**
 * Takes apart what Node joins with a comma and a space: `DNS:a.example, URI:"urn:a\u002c b"`. Node writes a value with
 * characters of its own notation as a JSON string, so a comma outside of quotes always separates. Other spaces belong to the
 * names: `DNS:a ` is not `DNS:a`.
 */
export function splitAlternativeNames(text: string): string[] {
  const names = text.match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return names.map((joined, index) => {
    const name = index === 0 ? joined : joined.slice(1);
    const colon = name.indexOf(':');
    const value = name.slice(colon + 1);
    return value.startsWith('"') ? `${name.slice(0, colon + 1)}${String(JSON.parse(value))}` : name;
  });
}
