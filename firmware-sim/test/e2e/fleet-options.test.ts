import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findTool } from '../../../test/tools.ts';
import { faults } from '../../src/checker/witness.ts';
import type { Report } from '../../src/report/report.ts';
import type { RunOptions } from '../../src/run/run.ts';
import { run } from '../../src/run/runner.ts';
import { scenarioFrom } from '../../src/scenario/load.ts';
import type { ConnectionFile, ScenarioFile } from '../../src/scenario/scenario-file.ts';
import { freePort, hasMosquitto, type RealBroker, startMosquitto } from '../client/real-broker.ts';
import { makeCertificates } from '../support/certificates.ts';

const options: RunOptions = { threads: 0, command: [], interrupt: new AbortController().signal };
const certificates = makeCertificates();
const versions = ['3.1', '3.1.1', '5'] as const;

/** One sensor and one dashboard for each way to connect, which all see each other. */
function scenarioOf(classes: Readonly<Record<string, ConnectionFile>>, broker: ScenarioFile['broker']): ScenarioFile {
  const fleet = Object.entries(classes).flatMap(([name, connection]) => [
    [`${name}-s`, { kind: 'sensor', connection, telemetry: [{ every: 0.2, qos: [0, 1, 2] }] }] as const,
    [`${name}-d`, { kind: 'dashboard', connection, subscribes: [{ filter: '{prefix}/#', qos: 2 }] }] as const,
  ]);
  return {
    ...(broker === undefined ? {} : { broker }),
    fleet: Object.fromEntries(fleet),
    stages: [{ ramp: 1 }, { hold: 2 }, { drain: 30 }],
  };
}

function expectAllSeen(report: Report, classes: readonly string[]): void {
  for (const fault of faults) expect(report.delivery.faults[fault].total, fault).toBe(0);
  for (const name of classes) {
    expect(
      report.classes[`${name}-s`]?.sent.some((count) => count > 0),
      name,
    ).toBe(true);
    expect(
      report.classes[`${name}-d`]?.delivered.every((count) => count > 0),
      name,
    ).toBe(true);
  }
}

describe.runIf(hasMosquitto)('a fleet on a broker that asks for certificate, user and password (Mosquitto)', () => {
  let broker: RealBroker;
  let websocketPort: number;

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'firmware-sim-passwords-'));
    const file = join(folder, 'passwords');
    writeFileSync(file, '');
    execFileSync(findTool('mosquitto_passwd') as string, ['-b', file, 'fleet', 'secret'], { stdio: 'ignore' });
    websocketPort = await freePort();
    const tls = ['cafile {folder}/ca', 'certfile {folder}/cert', 'keyfile {folder}/key', 'require_certificate true'];
    broker = await startMosquitto(
      {
        ca: certificates.ca,
        cert: certificates.server.cert,
        key: certificates.server.key,
        passwords: readFileSync(file, 'utf8'),
      },
      [
        ...['allow_anonymous false', 'password_file {folder}/passwords', ...tls],
        ...[`listener ${websocketPort} 127.0.0.1`, 'protocol websockets', ...tls],
      ],
    );
    rmSync(folder, { recursive: true });
  });

  afterAll(() => broker.stop());

  const overrides = (): Parameters<typeof scenarioFrom>[1] => ({
    brokerUrl: `mqtts://127.0.0.1:${broker.port}`,
    websocketUrl: `wss://127.0.0.1:${websocketPort}/mqtt`,
    tls: { ca: certificates.ca, cert: certificates.client.cert, key: certificates.client.key, verify: true },
  });

  test('speaks TLS and secure WebSocket, with both clients and every version', async () => {
    const classes: Record<string, ConnectionFile> = {};
    for (const client of ['packet', 'mqttjs'] as const) {
      for (const transport of ['tcp', 'websocket'] as const) {
        for (const version of versions) {
          classes[`${client}-${transport}-${version.replaceAll('.', '')}`] = { client, transport, versions: version };
        }
      }
    }
    const file = scenarioOf(classes, { url: 'mqtt://replaced:1883', username: 'fleet', password: 'secret' });
    expectAllSeen(await run(scenarioFrom(file, overrides()), options), Object.keys(classes));
  });

  test('is told in one sentence that it is not let in', async () => {
    const file = scenarioOf({ a: {} }, undefined);
    const wrong = scenarioFrom(file, { ...overrides(), username: 'fleet', password: 'wrong' });
    await expect(run(wrong, options)).rejects.toThrow(/^The broker at mqtts:\/\/127\.0\.0\.1:\d+ refuses .*\.$/);
    const stranger = scenarioFrom(file, { ...overrides(), tls: { ca: certificates.ca, verify: true } });
    await expect(run(stranger, options)).rejects.toThrow(
      /^The broker at mqtts:\/\/127\.0\.0\.1:\d+ cannot be used: .*\.$/,
    );
    const distrustful = scenarioFrom(file, { brokerUrl: `mqtts://127.0.0.1:${broker.port}` });
    await expect(run(distrustful, options)).rejects.toThrow(/cannot be used: .*certificate/);
  });
});

test('a broker that is not there is one sentence', async () => {
  const port = await freePort();
  const scenario = scenarioFrom(scenarioOf({ a: {} }, undefined), { brokerUrl: `mqtt://127.0.0.1:${port}` });
  await expect(run(scenario, options)).rejects.toThrow(
    `Nothing listens on mqtt://127.0.0.1:${port}; is the broker running? (connect ECONNREFUSED 127.0.0.1:${port})`,
  );
});

test('both clients and every version over TCP and WebSocket on Trellis see each other', async () => {
  const classes: Record<string, ConnectionFile> = {};
  for (const client of ['packet', 'mqttjs'] as const) {
    for (const transport of ['tcp', 'websocket'] as const) {
      for (const session of ['clean', 'persistent'] as const) {
        classes[`${client}-${transport}-${session}`] = { client, transport, session, versions };
      }
    }
  }
  expectAllSeen(await run(scenarioFrom(scenarioOf(classes, undefined)), options), Object.keys(classes));
});
