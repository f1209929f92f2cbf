import { type Agent, type AgentContext, type AgentHandler, type AgentOptions } from '../agent/agent.ts';
import type { Metrics } from '../agent/metrics.ts';
import { createAgent } from '../agent/mqtt-agent.ts';
import type { Witness } from '../checker/witness.ts';
import type { ClientFactory, ProtocolVersion } from '../client/client.ts';
import { MqttJsClients } from '../client/mqttjs-client.ts';
import { PacketClients } from '../client/packet-client.ts';
import { planDevices } from '../devices/create-device.ts';
import type { Device, DeviceContext, DeviceNote } from '../devices/device.ts';
import { Random } from '../lib/random.ts';
import type { Timers } from '../lib/timers.ts';
import type { DeviceClass, Scenario } from '../scenario/scenario.ts';
import type { Endpoint } from '../wire/endpoint.ts';
import { Links } from '../wire/links.ts';
import { MetricsBoard } from './metrics-board.ts';
import { SessionEraser, type StoredSession } from './session-eraser.ts';

/** What a thread has to know to run its share of the devices; plain data, so that it can be posted. */
export interface FleetPlan {
  readonly scenario: Scenario;
  readonly tcp: Endpoint;
  readonly websocket: Endpoint | undefined;
  /** Number of the run, in every stamp and client id; 0 to 2^24 - 1. */
  readonly run: number;
  /** This thread, from 0, of so many. Device i of all belongs to thread i modulo threads. */
  readonly thread: number;
  readonly threads: number;
}

/** What there is to say of a fleet each second. */
export interface FleetTurn {
  /** Of the second that ended, by class. */
  readonly metrics: ReadonlyMap<string, Metrics>;
  readonly switchedOn: number;
  /** Messages and exchanges under way. */
  readonly pending: number;
  readonly notes: readonly { readonly kind: DeviceNote; readonly text: string }[];
}

/** Notes kept per second; a storm of them is counted, not told. */
const notesMax = 1000;

/** Bytes of a client id in MQTT 3.1. */
const clientIdMax31 = 23;

/** How often a ramp switches devices on, ms. */
const rampStepMs = 10;

interface Member {
  readonly device: Device;
  /** When in a ramp it comes, 0 to 1; what is fixed in number (dashboards, operators) comes first. */
  readonly rank: number;
}

/** The devices of one thread. */
export class Fleet {
  readonly #timers: Timers;
  readonly #board: MetricsBoard;
  readonly #random: Random;
  readonly #links: Links;
  readonly #eraser: SessionEraser;
  /** Of devices that cannot end their sessions when they leave. */
  readonly #stored: StoredSession[] = [];
  readonly #waiting: Member[] = [];
  readonly #on: Device[] = [];
  #notes: { kind: DeviceNote; text: string }[] = [];
  #state: 'running' | 'draining' | 'stopped' = 'running';

  constructor(plan: FleetPlan, witness: Witness, timers: Timers) {
    const { scenario } = plan;
    this.#timers = timers;
    this.#board = new MetricsBoard(scenario.fleet.map(({ name }) => name));
    this.#random = new Random(scenario.seed).fork(`fleet ${plan.thread}`);
    const links = new Links(timers, this.#random.fork('links'), localAddressOf(plan));
    this.#links = links;
    const clients = { packet: new PacketClients(timers, links), mqttjs: new MqttJsClients(timers, links) };
    this.#eraser = new SessionEraser(clients.packet);
    let client = 0;
    for (const deviceClass of scenario.fleet) {
      const builder = new ClassBuilder(plan, deviceClass, {
        timers,
        witness,
        clients: clients[deviceClass.connection.client],
      });
      for (let index = 0; index < deviceClass.count; index++, client++) {
        if (client % plan.threads !== plan.thread) continue;
        const device = builder.build(index, client, {
          board: this.#board,
          stored: this.#stored,
          note: (kind, text) => this.#note(kind, text),
        });
        this.#waiting.push({ device, rank: deviceClass.fixedCount ? 0 : (index + 1) / deviceClass.count });
      }
    }
    this.#waiting.sort((a, b) => a.rank - b.rank);
  }

  /** Switches on the devices up to rank `to` (0 to 1), evenly within `seconds`. */
  ramp(to: number, seconds: number): void {
    const total = this.#waiting.filter(({ rank }) => rank <= to).length;
    const start = this.#timers.now();
    let switched = 0;
    const step = (): void => {
      if (this.#state !== 'running') return;
      const part = seconds === 0 ? 1 : (this.#timers.now() - start) / (seconds * 1000);
      const due = Math.min(total, Math.ceil(total * Math.min(1, part)));
      for (; switched < due || this.#waiting[0]?.rank === 0; switched++) {
        const member = this.#waiting.shift();
        if (member === undefined) return;
        this.#on.push(member.device);
        member.device.start();
      }
      if (switched < total) this.#timers.after(rampStepMs, step);
    };
    step();
  }

  /** The part `part` (0 to 1) of what is on loses its connection at once. */
  storm(part: number): void {
    for (const device of this.#on) if (this.#random.chance(part)) device.storm();
  }

  /** Open-loop telemetry comes `factor` times as often as declared. */
  pace(factor: number): void {
    for (const device of this.#on) device.pace(factor);
  }

  /** No new messages; everybody collects what is owed. */
  drain(): void {
    this.#state = 'draining';
    this.#links.heal();
    for (const device of this.#on) device.drain();
  }

  /** Everybody leaves in order. */
  stop(): void {
    this.#state = 'stopped';
    for (const device of this.#on) device.stop();
  }

  /** Ends, once everybody has left, what sessions would stay at the broker for ever. */
  erase(): void {
    if (this.#on.length > 0) this.#eraser.erase(this.#stored);
  }

  /** Closes what devices left half open on purpose. */
  close(): void {
    this.#links.close();
  }

  get pending(): number {
    let pending = this.#eraser.pending;
    for (const device of this.#on) pending += device.pending;
    return pending;
  }

  /** Ends a second: what was counted and noted in it. */
  turn(): FleetTurn {
    const notes = this.#notes;
    this.#notes = [];
    return { metrics: this.#board.turn(), switchedOn: this.#on.length, pending: this.pending, notes };
  }

  #note(kind: DeviceNote, text: string): void {
    this.#notes.push({ kind, text: this.#notes.length < notesMax ? text : '' });
  }
}

/** What a fleet lends its devices. */
interface FleetParts {
  readonly board: MetricsBoard;
  readonly stored: StoredSession[];
  readonly note: DeviceContext['note'];
}

/** Makes the devices of one class. */
class ClassBuilder {
  readonly #plan: FleetPlan;
  readonly #class: DeviceClass;
  readonly #endpoint: Endpoint;
  readonly #parts: { timers: Timers; witness: Witness; clients: ClientFactory };
  readonly #random: Random;
  readonly #peers: DeviceContext['peers'];
  readonly #create: (context: DeviceContext) => Device;

  constructor(
    plan: FleetPlan,
    deviceClass: DeviceClass,
    parts: { timers: Timers; witness: Witness; clients: ClientFactory },
  ) {
    this.#plan = plan;
    this.#class = deviceClass;
    this.#parts = parts;
    this.#create = planDevices(deviceClass);
    this.#random = new Random(plan.scenario.seed).fork(deviceClass.name);
    this.#endpoint =
      deviceClass.connection.transport === 'websocket' && plan.websocket !== undefined ? plan.websocket : plan.tcp;
    this.#peers = new Map(
      plan.scenario.fleet.map((peer) => [
        peer.name,
        { deviceClass: peer, count: peer.count, nameOf: (index: number) => deviceName(peer.name, index) },
      ]),
    );
  }

  build(index: number, client: number, { board, stored, note }: FleetParts): Device {
    const { name: className, connection, network } = this.#class;
    const { timers, witness, clients } = this.#parts;
    const name = deviceName(className, index);
    const random = this.#random.fork(`${index}`);
    const metrics = (): Metrics => board.of(className);
    const agentContext: AgentContext = {
      timers,
      witness,
      clients,
      endpoint: this.#endpoint,
      run: this.#plan.run,
      metrics,
    };
    const fill = (text: string): string => text.replaceAll('{device}', name).replaceAll('{index}', `${index}`);
    const version = random.pick(connection.versions);
    const { username, password } = connection.username === undefined ? this.#plan.scenario.broker : connection;
    const options: AgentOptions = {
      ...(connection.receiveMaximum === undefined ? {} : { receiveMaximum: connection.receiveMaximum }),
      ...(username === undefined ? {} : { username: fill(username) }),
      ...(password === undefined ? {} : { password: fill(password) }),
      client,
      clientId: this.#clientId(name, client, version),
      className,
      version,
      session: connection.session,
      sessionExpirySeconds: connection.sessionExpirySeconds,
      keepAliveSeconds: connection.keepAliveSeconds,
      window: connection.window,
      offlineMax: connection.offlineMax,
      reconnectSeconds: connection.reconnectSeconds,
      network,
      random: random.fork('agent'),
    };
    if (version < 5 && connection.session === 'persistent') stored.push({ endpoint: this.#endpoint, options });
    return this.#create({
      timers,
      random,
      name,
      index,
      topicPrefix: this.#plan.scenario.topicPrefix,
      peers: this.#peers,
      metrics,
      agent: (handler: AgentHandler, more?: Pick<AgentOptions, 'will'>): Agent =>
        createAgent(agentContext, { ...options, ...more }, handler),
      note,
    });
  }

  /** The device's name and the run's, or where that is too long for MQTT 3.1 a number for the name. */
  #clientId(name: string, client: number, version: ProtocolVersion): string {
    const run = this.#plan.run.toString(16).padStart(6, '0');
    const clientId = `${name}-${run}`;
    return version === 3 && clientId.length > clientIdMax31 ? `sim${client.toString(36)}-${run}` : clientId;
  }
}

/** An address has some 28,000 ports: threads on this machine's loopback get one each, where the system has them all. */
function localAddressOf({ threads, thread }: FleetPlan): string | undefined {
  return threads > 1 && process.platform === 'linux' ? `127.0.0.${thread + 1}` : undefined;
}

/** What a device is called, in topics and reports. */
function deviceName(className: string, index: number): string {
  return `${className}-${index}`;
}
