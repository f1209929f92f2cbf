import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Nodes, startNodes } from '../../../test/support/nodes.ts';
import { redisMissing } from '../../../test/support/redis-server.ts';
import { run } from '../../src/run/runner.ts';
import { loadScenario } from '../../src/scenario/load.ts';
import { expectFaultless, SCENARIO_TIMEOUT_MS, scenarios } from './scenarios.ts';

/** Kills a node and starts it again for each request, one node after the other. */
async function openAxe(nodes: Nodes): Promise<Server> {
  let next = 0;
  const server = createServer((_, response) => {
    const index = next % nodes.count;
    next += 1;
    nodes
      .kill(index)
      .then(() => nodes.start(index))
      .then(
        () => response.end(),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

// All of them, for longer: TRELLIS_FAULT_SECONDS=120 npx vitest run --project all firmware-sim/test/e2e/nodes.test.ts
describe.skipIf(redisMissing !== '')('no fault is found in several Trellis nodes behind a balancer:', () => {
  let nodes: Nodes;
  let axe: Server;

  beforeAll(async () => {
    nodes = await startNodes({ redisConfig: ['appendonly yes'] });
    axe = await openAxe(nodes);
  });

  afterAll(async () => {
    axe?.close();
    await nodes?.stop();
  });

  test.each(scenarios({ tour: 15, 'kill-broker': 20 }))(
    '%s',
    async (name, durationSeconds) => {
      const scenario = loadScenario(name, { durationSeconds, brokerUrl: `mqtt://127.0.0.1:${nodes.port}` });
      const swing = `fetch('http://127.0.0.1:${(axe.address() as AddressInfo).port}').then((answer) => process.exit(answer.ok ? 0 : 1))`;
      const killBroker = `'${process.execPath}' -e "${swing}"`;
      const options = { threads: 0, command: [], killBroker, interrupt: new AbortController().signal };
      expectFaultless(name, await run(scenario, options));
      for (let index = 0; index < nodes.count; index++) expect(nodes.runs(index)).toBe(true);
    },
    SCENARIO_TIMEOUT_MS,
  );
});
