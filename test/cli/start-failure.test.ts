import { expect, test } from 'vitest';
import { startFailure } from '../../src/cli/start-failure.ts';
import { createConfig } from '../../src/config.ts';
import { StoreError } from '../../src/store/store.ts';

const config = createConfig({ listeners: { unix: { path: '/run/trellis.sock' } } });

/** An error as Node makes it of a failed system call. */
function systemError(fields: Record<string, unknown>): Error {
  return Object.assign(new Error(`${String(fields['syscall'])} ${String(fields['code'])}`), fields);
}

const listen = { syscall: 'listen', address: '127.0.0.1' };
const unix = { syscall: 'listen', address: '/run/trellis.sock', port: -1 };

test.each<[Error, number, string]>([
  [
    systemError({ ...listen, code: 'EADDRINUSE', port: 1883 }),
    2,
    'Port 1883 on 127.0.0.1 is in use by another process: stop that one, or choose another port with --port (0 takes any free one).',
  ],
  [
    systemError({ ...listen, code: 'EADDRINUSE', port: 8083 }),
    2,
    'Port 8083 on 127.0.0.1 is in use by another process: stop that one, or choose another port with --ws-port (0 takes any free one).',
  ],
  [
    systemError({ ...listen, code: 'EACCES', port: 80 }),
    2,
    'No permission to listen on port 80 on 127.0.0.1: ports below 1024 need rights of their own, so choose a higher one with --port.',
  ],
  [
    systemError({ ...listen, code: 'EADDRNOTAVAIL', port: 1883, address: '10.9.8.7' }),
    2,
    'This machine has no address 10.9.8.7 to listen on: name another with --host.',
  ],
  [systemError({ ...listen, code: 'EMFILE', port: 1883 }), 1, 'Trellis could not listen: listen EMFILE.'],
  [
    systemError({ syscall: 'getaddrinfo', code: 'ENOTFOUND', hostname: 'nowhere' }),
    2,
    'The host nowhere to listen on has no address here; name another with --host.',
  ],
  [
    systemError({ ...unix, code: 'EADDRINUSE' }),
    2,
    'The Unix socket /run/trellis.sock is in use by another process: stop that one, or set another listeners.unix.path.',
  ],
  [
    systemError({ ...unix, code: 'EACCES' }),
    2,
    'No permission to make the Unix socket /run/trellis.sock: set another listeners.unix.path.',
  ],
  [
    systemError({ ...unix, code: 'ENOENT' }),
    2,
    'The directory of the Unix socket /run/trellis.sock is not there: make it, or set another listeners.unix.path.',
  ],
  [
    new Error('Cannot listen on /x: another process is listening on it.', {
      cause: systemError({ ...unix, code: 'EADDRINUSE' }),
    }),
    2,
    'Cannot listen on /x: another process is listening on it.',
  ],
  [new StoreError('No rights.', { cause: systemError({ code: 'EACCES' }) }), 2, 'No rights.'],
  [new StoreError('Damaged.'), 1, 'Damaged.'],
  [new TypeError('x is not a function'), 1, 'Trellis could not start: x is not a function.'],
])('%s ends with exit code %i and a sentence', (error, exitCode, message) => {
  expect(startFailure(error, config)).toMatchObject({ exitCode, message });
});
