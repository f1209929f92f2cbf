import { describe, expect, test } from 'vitest';
import type { Connection } from '../../src/connection/connection.ts';
import { ConnectionTable } from '../../src/connection/connection-table.ts';

/** A table looks at nothing in it. */
function someConnection(): Connection {
  return {} as Connection;
}

describe('the table of connections', () => {
  test('counts those that were accepted', () => {
    const table = new ConnectionTable();
    for (let i = 0; i < 3; i++) table.add(someConnection());
    expect({ accepted: table.accepted, size: table.size }).toEqual({ accepted: 3, size: 3 });
  });

  test('leaves a client id to its new owner when the old one goes', () => {
    const table = new ConnectionTable();
    const [old, young] = [someConnection(), someConnection()];
    table.own('id', old);
    table.own('id', young);
    table.disown('id', old);
    expect(table.owner('id')).toBe(young);
    table.disown('id', young);
    expect(table.owner('id')).toBeUndefined();
    expect({ clients: table.clients, maximum: table.maximum }).toEqual({ clients: 0, maximum: 1 });
  });

  test('takes client ids such as __proto__ for what they are', () => {
    const table = new ConnectionTable();
    expect(table.owner('__proto__')).toBeUndefined();
    const connection = someConnection();
    table.own('__proto__', connection);
    expect(table.owner('__proto__')).toBe(connection);
    expect(table.owner('constructor')).toBeUndefined();
  });

  test('says when no connection is open', async () => {
    const table = new ConnectionTable();
    await table.empty();
    const [first, second] = [someConnection(), someConnection()];
    table.add(first);
    table.add(second);
    let isEmpty = false;
    const empty = table.empty().then(() => {
      isEmpty = true;
    });
    table.remove(first);
    await Promise.resolve();
    expect(isEmpty).toBe(false);
    table.remove(second);
    await empty;
    expect([...table]).toEqual([]);
  });

  test('counts ends by their reason', () => {
    const table = new ConnectionTable();
    for (const reason of ['taken-over', 'taken-over', 'protocol-error'] as const) table.countEnd(reason);
    expect([...table.ended]).toEqual([
      ['taken-over', 2],
      ['protocol-error', 1],
    ]);
  });
});
