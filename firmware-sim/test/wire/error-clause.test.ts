import { describe, expect, it } from 'vitest';
import { errorClause } from '../../src/wire/error-clause.ts';

describe('errorClause', () => {
  it('is one line', () => {
    expect(errorClause(new Error('connect ECONNREFUSED 127.0.0.1:1883'))).toBe('connect ECONNREFUSED 127.0.0.1:1883');
    expect(errorClause(new Error('first\n    at second'))).toBe('first');
  });

  it('names the first of several tries, and the reason of OpenSSL', () => {
    expect(errorClause(new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('other')]))).toBe(
      'connect ECONNREFUSED ::1:1',
    );
    expect(errorClause(new AggregateError([]))).toBe('AggregateError');
    const tls = Object.assign(new Error('00D8:error:0A00:SSL routines:x:../deps/openssl'), {
      reason: 'wrong version number',
    });
    expect(errorClause(tls)).toBe('TLS: wrong version number');
  });

  it('leaves out where a socket was not bound to, and says what to do about too many', () => {
    const local = new Error('bind EADDRNOTAVAIL 127.1.2.3 - Local (undefined:undefined)');
    expect(errorClause(local)).toBe('bind EADDRNOTAVAIL 127.1.2.3');
    expect(errorClause(Object.assign(new Error('connect EMFILE'), { code: 'EMFILE' }))).toContain('ulimit -n');
  });

  it('tells a refused WebSocket handshake by its status', () => {
    expect(errorClause(new Error('Unexpected server response: 404'))).toContain('HTTP status 404');
  });

  it('says something of errors that say nothing', () => {
    expect(errorClause(new TypeError(''))).toBe('TypeError');
    expect(errorClause('gone')).toBe('gone');
  });
});
