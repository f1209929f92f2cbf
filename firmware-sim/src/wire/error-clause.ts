/** What an error of a socket says, as one clause for people: no stack, no places in source files, one line. */
export function errorClause(error: unknown): string {
  // Of a host with several addresses each was tried; the first says enough.
  const cause: unknown = error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
  if (!(cause instanceof Error)) return String(cause);
  if ('code' in cause && cause.code === 'EMFILE') return 'this process may not open more connections: see ulimit -n';
  // OpenSSL's messages have several parts; the reason is the one for people.
  if ('reason' in cause && typeof cause.reason === 'string' && cause.reason !== '') return `TLS: ${cause.reason}`;
  const answer = /^Unexpected server response: (\d+)$/.exec(cause.message);
  if (answer !== null) return `the WebSocket handshake was answered with HTTP status ${answer[1]}`;
  const [line] = cause.message.split('\n', 1);
  return line === undefined || line === '' ? cause.name : line.replace(/ - Local .*$/, '').trim();
}
