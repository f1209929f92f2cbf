import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, READ_BUFFER_BYTES, type Target } from './client.ts';
import { Ledger } from './ledger.ts';
import type { ProtocolVersion, PublishShape, Qos } from './packets.ts';
import { cpuSeconds, machineCpuSeconds, ownCpuSeconds, peakResidentKb } from './process-stats.ts';
import { Turns } from './turns.ts';

/** What a run is asked to do; what a number means where depends on the scenario, see README.md. */
export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Where publishers of a stream of messages connect: the same, or that of another node. */
  readonly publishPort: number;
  /** The processes of the broker. */
  readonly brokerPids: readonly number[];
  /** The process of the Redis that the broker keeps its state in; undefined where there is none. */
  readonly redisPid: number | undefined;
  readonly version: ProtocolVersion;
  readonly qos: Qos;
  readonly window: number;
  readonly payloadBytes: number;
  readonly pubs: number;
  readonly subs: number;
  /** Connections, queued or retained messages, subscriptions, readers that stop. */
  readonly count: number;
  /** Publishes per device and second. */
  readonly rate: number;
  /** Whether subscribers have sessions that outlive their connections. */
  readonly isPersistent: boolean;
  readonly warmupMs: number;
  readonly durationMs: number;
}

/** What came out of a run; absent: not measured in this scenario. */
export interface Report {
  /** The length of what was measured. */
  readonly seconds: number;
  /** Deliveries, or connections, per second. */
  readonly perSecond: number;
  /** CPU seconds of the broker per million of them. */
  readonly brokerCpuPerMillion: number;
  /** Cores in use by the broker, 1 is one core. */
  readonly brokerCpuShare: number;
  /** The same of the Redis that the broker keeps its state in. */
  readonly redisCpuPerMillion?: number;
  readonly redisCpuShare?: number;
  readonly generatorCpuShare: number;
  /** Cores in use by everything else on the machine; well above 0, the run was disturbed. */
  readonly otherCpuShare: number;
  readonly peakResidentMb: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly invalid: number;
  readonly skipped: number;
  readonly stalls: number;
  readonly latencyP50Ms?: number;
  readonly latencyP99Ms?: number;
  /** The same before some readers stopped. */
  readonly latencyP99BeforeMs?: number;
  readonly residentKbPerConnection?: number;
  readonly residentBytesPerSubscription?: number;
  readonly idleCpuShare?: number;
  /** Of a broker on Node: how late its event loop came, from its start to its end. */
  readonly eventLoopP99Ms?: number;
  readonly eventLoopMaxMs?: number;
}

/** How many connections are opened at a time. */
const CONCURRENCY = 64;
/** Draining ends when nothing has come for so long, in milliseconds. */
const DRAIN_PATIENCE_MS = 3_000;
const POLL_MS = 20;

/** A run under way: the clients' common ground, and what was measured when. */
export class Run {
  readonly options: LoadOptions;
  readonly target: Target;
  /** What publishers of a stream of messages connect to. */
  readonly publishTarget: Target;
  readonly shape: PublishShape;
  readonly ledger: Ledger = new Ledger();

  constructor(options: LoadOptions, fail: (reason: string) => void) {
    this.options = options;
    const { host, port, publishPort, version, qos, payloadBytes } = options;
    this.target = { host, port, version, turns: new Turns(), readBuffer: Buffer.allocUnsafe(READ_BUFFER_BYTES), fail };
    this.publishTarget = { ...this.target, port: publishPort };
    this.shape = { version, qos, payloadBytes, retain: false };
  }

  /** Opens the connections, some at a time. */
  async openAll(clients: readonly Client[]): Promise<void> {
    const waiting = clients.values();
    const openNext = async (): Promise<void> => {
      for (const client of waiting) await client.open();
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, openNext));
  }

  /** The counters and clocks of this moment. */
  sample(): Sample {
    return {
      atMs: performance.now(),
      delivered: this.ledger.delivered,
      brokerCpu: cpuSeconds(this.options.brokerPids),
      redisCpu: this.options.redisPid === undefined ? 0 : cpuSeconds([this.options.redisPid]),
      ownCpu: ownCpuSeconds(),
      machineCpu: machineCpuSeconds(),
    };
  }

  /** Waits until it is true, or nothing was delivered or acknowledged for a while; tells whether it came true. */
  async drain(isDone: () => boolean): Promise<boolean> {
    let seen = -1;
    let seenAtMs = performance.now();
    while (!isDone()) {
      const now = this.ledger.delivered + this.ledger.acknowledged;
      if (now !== seen) {
        seen = now;
        seenAtMs = performance.now();
      } else if (performance.now() - seenAtMs > DRAIN_PATIENCE_MS) return false;
      await sleep(POLL_MS);
    }
    return true;
  }

  /** What both samples and the counters say; `count` is how many deliveries or connections came in between. */
  report(from: Sample, to: Sample, count: number): Report {
    const seconds = (to.atMs - from.atMs) / 1000;
    const brokerCpu = to.brokerCpu - from.brokerCpu;
    const ownCpu = to.ownCpu - from.ownCpu;
    const redisCpu = to.redisCpu - from.redisCpu;
    const otherCpu = to.machineCpu - from.machineCpu - brokerCpu - redisCpu - ownCpu;
    const { invalid, skipped, stalls } = this.ledger;
    return {
      seconds,
      perSecond: count / seconds,
      brokerCpuPerMillion: (brokerCpu * 1e6) / count,
      brokerCpuShare: brokerCpu / seconds,
      ...(this.options.redisPid === undefined
        ? {}
        : { redisCpuPerMillion: (redisCpu * 1e6) / count, redisCpuShare: redisCpu / seconds }),
      generatorCpuShare: ownCpu / seconds,
      otherCpuShare: Math.max(0, otherCpu / seconds),
      peakResidentMb: peakResidentKb(this.options.brokerPids) / 1024,
      ...{ lost: 0, duplicates: 0, reordered: 0, invalid, skipped, stalls },
    };
  }
}

/** Counters and clocks of a moment. */
export interface Sample {
  readonly atMs: number;
  readonly delivered: number;
  /** CPU seconds of the broker so far. */
  readonly brokerCpu: number;
  /** The same of its Redis; 0 where there is none. */
  readonly redisCpu: number;
  readonly ownCpu: number;
  readonly machineCpu: number;
}
