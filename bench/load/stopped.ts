import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { Histogram } from './histogram.ts';
import { encodePublish } from './packets.ts';
import { cpuSeconds } from './process-stats.ts';
import { Publisher } from './publisher.ts';
import type { Report, Run } from './run.ts';
import { Subscriber } from './subscriber.ts';
import { connectAll, latencies, measureTraffic, publishAtRate, reportTraffic } from './traffic.ts';

const TOPIC = 'fanout/0';
const FILL_TOPIC = 'fill/0';
/** What the stopped readers are sent beforehand: more than the kernel holds for a connection (about 4 MB). */
const FILL_MESSAGES = 96;
const FILL_BYTES = 64 * 1024;
/** The broker has come to rest when it uses less of a core than this. */
const REST_SHARE = 0.1;
const REST_POLL_MS = 200;
const REST_POLLS = 50;

/** Sends what fills the connections of those that do not read. */
class Filler extends Client {
  async fill(run: Run): Promise<void> {
    const shape = { ...run.shape, qos: 0, payloadBytes: FILL_BYTES } as const;
    const packet = encodePublish(shape, FILL_TOPIC, 0);
    await this.open();
    for (let index = 0; index < FILL_MESSAGES; index++) this.send(packet);
    await this.close();
  }

  override onPacket(firstByte: number): void {
    this.target.fail(`The broker sent a publisher a packet that begins with 0x${firstByte.toString(16)}.`);
  }
}

async function waitForRest(pids: readonly number[]): Promise<void> {
  for (let poll = 0; poll < REST_POLLS; poll++) {
    const before = cpuSeconds(pids);
    await sleep(REST_POLL_MS);
    if (cpuSeconds(pids) - before < (REST_SHARE * REST_POLL_MS) / 1000) return;
  }
}

/**
 * A fan-out at a fixed rate, first with readers that all read, then with some (`count`) that stopped and to whom nothing
 * more can be written. Reports the second part and, of the first, the latency; only those that read are counted.
 */
export async function runStopped(run: Run): Promise<Report> {
  const { target, ledger, shape, options } = run;
  const { subs, count, brokerPids } = options;
  if (options.qos !== 0 || count >= subs)
    throw new RangeError('--scenario stopped takes --qos 0 and --count < --subs.');
  const own = { index: 0, topicName: TOPIC, shape, window: options.window, deliveriesEach: 0, limit: Infinity };
  const publisher = new Publisher(target, ledger, own, 'publisher');
  const subscribers = Array.from({ length: subs }, (_, index) => {
    const topicFilters = index < count ? [TOPIC, FILL_TOPIC] : [TOPIC];
    const common = { topicFilters, shape, check: new DeliveryCheck(1), publishers: [publisher] };
    return new Subscriber(target, ledger, common, `subscriber-${index}`);
  });
  await connectAll(run, subscribers, [publisher]);

  const stopBefore = publishAtRate(run, [publisher]);
  // At this rate a broker on Node takes longer to warm up, and a cold first part would flatter the second.
  await sleep(options.durationMs);
  await measureTraffic(run);
  await stopBefore();
  const before = latencies(run).latencyP99Ms;
  ledger.latency = new Histogram();
  const [stopped, healthy] = [subscribers.slice(0, count), subscribers.slice(count)];
  for (const subscriber of stopped) subscriber.stopReading();
  await new Filler(target, 'filler', true).fill(run);
  await waitForRest(brokerPids);
  const stop = publishAtRate(run, [publisher]);
  const measured = await measureTraffic(run);
  await stop();
  const report = await reportTraffic(run, measured, healthy, () => ledger.sent * healthy.length);
  return before === undefined ? report : { ...report, latencyP99BeforeMs: before };
}
