import { imbalanceOf } from '../support/imbalance.ts';
import { until } from '../support/polling.ts';
import type { Figures } from './broker-child.ts';
import { Canary } from './canary.ts';
import type { Finding } from './finding.ts';
import { type ConnectionOutcome, sendStream } from './fuzz-client.ts';
import { type FuzzedBroker, startFuzzedBroker } from './fuzzed-broker.ts';
import { type FuzzStream, StreamMaker } from './stream-maker.ts';
import type { FuzzTransport } from './transports.ts';

/** Connections open at the same time. */
const AT_ONCE = 16;
/** The canary sings after so many connections. */
const SING_EVERY = 250;
const FINDINGS_MAX = 20;
/** Part of the bytes after which the memory is measured that the one at the end is held against. */
const WARM_UP = 0.15;
const MB = 1024 * 1024;
/** Clients and sessions that stay: the canary's. */
const CANARIES = 2;

/** What a run of the fuzzer did on one transport. */
export interface LiveReport {
  seed: number;
  transport: string;
  bytes: number;
  connections: number;
  /** Packets the broker sent. */
  packets: number;
  /** Reason codes of CONNACK and DISCONNECT. */
  answers: Map<string, number>;
  /** Connections that the transport did something wrong on, by what. */
  tampered: Map<string, number>;
  /** Connections by how they ended, as the broker has it. */
  ended: Record<string, number>;
  songs: number;
  /** The connection, of those with nothing wrong on the way, whose end took longest after its last byte. */
  slowest: { milliseconds: number; hex: string };
  /** Longest time the broker's event loop stood still, ms; the collections of garbage asked for are in it. */
  loopDelayMs: number;
  /** Memory after the warm-up, and at the end, MB. */
  memory: { rss: [before: number, after: number]; used: [before: number, after: number] };
  findings: Finding[];
}

/** Throws mutated streams at a broker in a process of its own. */
class LiveFuzzer {
  readonly report: LiveReport;
  readonly #transport: FuzzTransport;
  readonly #maker: StreamMaker;
  readonly #broker: FuzzedBroker;
  readonly #canary: Canary;
  /** What is under way, by its number. */
  readonly #open: Map<number, FuzzStream> = new Map();
  #next = 0;
  #singing: Promise<void> = Promise.resolve();

  /** Use `fuzzLive`. */
  constructor(seed: number, transport: FuzzTransport, broker: FuzzedBroker) {
    this.#transport = transport;
    this.#maker = new StreamMaker(seed);
    this.#broker = broker;
    this.#canary = new Canary(broker.urlOf(transport.scheme).href, broker.urlOf('mqtt:').href);
    this.report = {
      seed,
      transport: transport.name,
      bytes: 0,
      connections: 0,
      packets: 0,
      answers: new Map(),
      tampered: new Map(),
      ended: {},
      songs: 0,
      slowest: { milliseconds: 0, hex: '' },
      loopDelayMs: 0,
      memory: { rss: [0, 0], used: [0, 0] },
      findings: [],
    };
  }

  /** Goes on until so many bytes were sent, then waits for rest and looks at the broker. */
  async run(bytes: number): Promise<LiveReport> {
    const { report } = this;
    try {
      await this.#canary.start();
      await this.#send(bytes * WARM_UP);
      const before = await this.#rest();
      await this.#send(bytes);
      const after = await this.#rest();
      report.memory = {
        rss: [before.rss / MB, after.rss / MB],
        used: [usedBy(before) / MB, usedBy(after) / MB],
      };
      this.#inspect(after);
    } catch (error) {
      for (const [number, stream] of this.#open) this.#find(`open when this came: ${String(error)}`, number, stream);
      this.#find(String(error));
    } finally {
      await this.#canary.stop();
    }
    return report;
  }

  /** Sends one stream, as a finding tells. */
  async replay(stream: FuzzStream, number: number): Promise<LiveReport> {
    await this.#canary.start();
    await this.#one(stream, number);
    await this.#canary.sing();
    this.#inspect(await this.#rest());
    await this.#canary.stop();
    return this.report;
  }

  async #send(bytes: number): Promise<void> {
    const worker = async (): Promise<void> => {
      while (this.report.bytes < bytes && this.report.findings.length < FINDINGS_MAX) {
        const number = this.#next++;
        const stream = this.#maker.make(this.#maker.randomOf(number));
        await this.#one(stream, number);
        if (number % SING_EVERY === 0) await this.#sing();
      }
    };
    await Promise.race([Promise.all(Array.from({ length: AT_ONCE }, worker)), this.#broker.died]);
  }

  async #one(stream: FuzzStream, number: number): Promise<void> {
    const { report } = this;
    this.#open.set(number, stream);
    report.connections += 1;
    report.bytes += stream.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const url = this.#broker.urlOf(this.#transport.scheme);
    const outcome = await sendStream(this.#transport, url, stream, this.#maker.randomOf(~number));
    this.#open.delete(number);
    this.#take(outcome, number, stream);
  }

  #take(outcome: ConnectionOutcome, number: number, stream: FuzzStream): void {
    const { report } = this;
    const { fault, packets, answers, tampered, closedAfterMs } = outcome;
    report.packets += packets;
    for (const answer of answers) report.answers.set(answer, (report.answers.get(answer) ?? 0) + 1);
    if (tampered !== undefined) report.tampered.set(tampered, (report.tampered.get(tampered) ?? 0) + 1);
    else if (closedAfterMs > report.slowest.milliseconds)
      report.slowest = { milliseconds: closedAfterMs, hex: Buffer.concat(stream.chunks).toString('hex') };
    if (fault !== undefined) this.#find(tampered === undefined ? fault : `after ${tampered}: ${fault}`, number, stream);
  }

  /** One song after the other, whoever asks for it. */
  #sing(): Promise<void> {
    this.report.songs += 1;
    this.#singing = this.#singing.then(() => this.#canary.sing());
    return this.#singing;
  }

  /** Waits until nothing is left of the clients but what they retained. */
  async #rest(): Promise<Figures> {
    const { report } = this;
    return await until('all sessions to end', async () => {
      const figures = await this.#broker.figures();
      report.loopDelayMs = Math.max(report.loopDelayMs, figures.loopDelayMs);
      const { connections, sessions } = figures.counters;
      return connections.open === CANARIES && sessions === CANARIES ? figures : undefined;
    });
  }

  #inspect({ counters, errors }: Figures): void {
    this.report.ended = Object.fromEntries(Object.entries(counters.connections.ended).filter(([, count]) => count > 0));
    for (const line of errors.slice(0, 5)) this.#find(`the broker logged an error: ${line}`);
    const imbalance = imbalanceOf(counters);
    if (imbalance !== undefined) this.#find(imbalance);
    if (counters.connections.ended['internal-error'] > 0) this.#find('connections ended for a bug of the broker');
  }

  #find(text: string, number = 0, stream?: FuzzStream): void {
    const { findings, seed } = this.report;
    if (findings.length >= FINDINGS_MAX) return;
    const chunks = stream?.chunks.map((chunk) => chunk.toString('hex')) ?? [];
    const { version = 5, breaksOff = false } = stream ?? {};
    findings.push({ target: 'live', text, seed, number, version, transport: this.#transport.name, breaksOff, chunks });
  }
}

/** Memory that is in use, whatever the process has of the system. */
function usedBy({ heapUsed, arrayBuffers }: Figures): number {
  return heapUsed + arrayBuffers;
}

/** Runs against a broker of its own. @param bytes to be sent. */
export async function fuzzLive(seed: number, transport: FuzzTransport, bytes: number): Promise<LiveReport> {
  const broker = await startFuzzedBroker();
  try {
    return await new LiveFuzzer(seed, transport, broker).run(bytes);
  } finally {
    await broker.stop();
  }
}

/** Sends the stream of a finding again, alone. */
export async function replayLive(finding: Finding, transport: FuzzTransport): Promise<LiveReport> {
  const broker = await startFuzzedBroker();
  const { seed, number = 0, version, breaksOff = false } = finding;
  const chunks = finding.chunks.map((chunk) => Buffer.from(chunk, 'hex'));
  try {
    return await new LiveFuzzer(seed, transport, broker).replay({ version, chunks, breaksOff }, number);
  } finally {
    await broker.stop();
  }
}
