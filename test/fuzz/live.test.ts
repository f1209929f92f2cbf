import { describe, expect, test } from 'vitest';
import { fuzzLive } from './live-fuzzer.ts';
import { FUZZ_TRANSPORTS } from './transports.ts';

/** For all transports together. Runs in `npm test`; `npm run fuzz -- --live --bytes N` does any number. */
const BYTES = 120_000;
/** What a run this short may leave in use, MB: the engine still compiles and keeps what it learns. */
const MEMORY_MAX = 24;

// Each of them waits for sessions to end most of its time.
describe.concurrent('mutated streams to a broker in a process of its own', () => {
  test.each(FUZZ_TRANSPORTS)('harm neither it nor its other clients, over $name', async (transport) => {
    const isTls = transport.scheme === 'mqtts:' || transport.scheme === 'wss:';
    const report = await fuzzLive(1, transport, BYTES / FUZZ_TRANSPORTS.length);
    const { findings, answers, ended, packets, memory, tampered } = report;
    expect(findings).toEqual([]);
    expect(packets).toBeGreaterThan(100);
    // They get far enough to be dealt with, and are wrong in many ways.
    expect([...answers.keys()]).toEqual(expect.arrayContaining(['CONNACK 0x0', 'DISCONNECT 0x81', 'DISCONNECT 0x82']));
    expect(Object.keys(ended)).toEqual(
      expect.arrayContaining(['malformed-packet', 'protocol-error', 'connection-lost']),
    );
    expect(tampered.size).toBeGreaterThanOrEqual(isTls ? 10 : 0);
    expect(memory.used[1] - memory.used[0]).toBeLessThan(MEMORY_MAX);
  });
});
