import type { AgentOptions } from '../../src/agent/agent.ts';
import type { ProtocolVersion, QoS, SubscribeOptions } from '../../src/client/client.ts';
import type { NetworkProfile } from '../../src/wire/network-path.ts';
import type { Plant, Spot } from '../faulty-broker/planter.ts';
import type { Member, ProofScene } from './proof-scene.ts';

/** What goes wrong with live messages. */
export const livePlants: readonly Plant[] = [
  'lose',
  'duplicate',
  'repeat',
  'reorder',
  'corrupt',
  'leak',
  'phantom',
  'wrong-topic',
];

/** What stays one fault when connections are cut: messages that are QoS 2 all the way come once whatever happens. */
const plantsDespiteCuts: readonly Plant[] = ['lose', 'duplicate', 'reorder', 'corrupt', 'phantom'];

/** Where each fault is one fault and nothing else. */
export function allows(plant: Plant, { topicName, clientId }: Spot): boolean {
  // Who gets again what another member of its group had gets it for the first time, for all that it knows.
  if (plant === 'repeat' && clientId.startsWith('group-')) return false;
  // When members come and go, a broker may give a message to one or the other, later, or to none in the end.
  if (clientId.startsWith('rover-group')) return false;
  if (plant === 'leak') return topicName.startsWith('live/') && /^(stranger|sender)-/u.test(clientId);
  if (topicName.startsWith('live/')) return livePlants.includes(plant);
  if (topicName.startsWith('rove/2/')) return plantsDespiteCuts.includes(plant);
  if (topicName.startsWith('kept/')) {
    // A client that subscribes again and again cannot tell which of its subscriptions has got nothing.
    return (plant === 'no-retained' || plant === 'stale-retained') && clientId !== 'looker-0';
  }
  if (topicName.startsWith('will/')) return plant === 'no-will' || plant === 'second-will' || plant === 'clean-will';
  if (topicName.startsWith('late/')) return plant === 'late';
  if (clientId.startsWith('dozer-')) return plant === 'session-lost';
  if (clientId.startsWith('fresh-')) return plant === 'session-invented';
  return false;
}

/** Whether any of `plants` is still to be planted. */
function isLeft(scene: ProofScene, plants: readonly Plant[]): boolean {
  return scene.broker.router.planter.left.some((plant) => plants.includes(plant));
}

function at(filter: string, qos: QoS, options: Partial<SubscribeOptions> = {}): SubscribeOptions {
  return { topicFilter: filter, qos, ...options };
}

/** Steady connections and messages of all QoS, to takers of many kinds, until all is planted, at least `rounds` long. */
export async function live(scene: ProofScene, rounds: number): Promise<void> {
  const clean: Partial<AgentOptions> = { session: 'clean' };
  await Promise.all([
    scene.present('taker-all', [at('live/#', 2)]),
    scene.present('taker-some', [at('live/+/a', 1), at('live/+/b/#', 2)], { ...clean, version: 4 }),
    scene.present('taker-three', [at('live/#', 2)], { version: 3 }),
    scene.present('taker-least', [at('live/#', 0)], clean),
    scene.present('group-1', [at('$share/g/live/#', 2)]),
    scene.present('group-2', [at('$share/g/live/#', 2)]),
    scene.present('stranger-5', [at('elsewhere/#', 2)]),
    scene.present('stranger-4', [at('elsewhere/#', 2)], { ...clean, version: 4 }),
  ]);
  const publishers = await Promise.all(
    ([5, 4, 3] as const).map((version) => scene.present(`sender-${version}`, [], { version })),
  );
  // No Local: it must not get its own.
  publishers.push(await scene.present('sender-self', [at('live/sender-self/#', 1, { noLocal: true })]));
  const { router } = scene.broker;
  const isOver = (): boolean => !isLeft(scene, livePlants) && !router.isHolding;
  for (let round = 0; round < rounds || (!isOver() && round < 400); round++) {
    for (const publisher of publishers) publishSome(scene, publisher, 'live', 5);
    await scene.idle(publishers);
  }
}

function publishSome(scene: ProofScene, publisher: Member, prefix: string, count: number): void {
  const { random } = scene;
  for (let message = 0; message < count; message++) {
    const qos = random.below(3) as QoS;
    const topicName = `${prefix}/${publisher.name}/${random.pick(['a', 'b', 'c'])}`;
    scene.publish(publisher, topicName, { qos });
  }
}

/** Connections that are cut all the time, at any byte, and sessions that go on; in the end the network is good. */
export async function rove(scene: ProofScene, ms: number): Promise<void> {
  const versions: readonly ProtocolVersion[] = [5, 4, 3, 5];
  const networks: { -readonly [Key in keyof NetworkProfile]: NetworkProfile[Key] }[] = versions.map(
    (_version, place) => ({
      cutEverySeconds: 0.12,
      cutAtByte: 6000,
      ...(place === 3 && { halfOpen: 0.5, halfOpenSeconds: 0.3 }),
    }),
  );
  const cut = (place: number): Partial<AgentOptions> => ({
    version: versions[place] ?? 5,
    network: networks[place] ?? {},
    keepAliveSeconds: 1,
    window: 8, // what is sent again on the next connection must fit in front of its cut
  });
  const filters = [at('rove/#', 2)];
  const rovers = await Promise.all([
    ...versions.map((_version, place) => scene.present(`rover-taker-${place}`, filters, cut(place))),
    scene.present('rover-group1', [at('$share/rovers/rove/#', 2)], cut(0)),
    scene.present('rover-group2', [at('$share/rovers/rove/#', 2)], cut(1)),
  ]);
  rovers.push(await scene.present('steady-taker', [...filters, at('gone/#', 1)]));
  const senders = await Promise.all(
    versions.map((_version, place) => {
      const will = scene.will('gone/rover', { qos: 2, delaySeconds: place === 0 ? 3600 : 0 });
      return scene.present(`rover-sender-${place}`, [], { ...cut(place), will });
    }),
  );
  const end = scene.timers.now() + ms;
  const { router } = scene.broker;
  const isOver = (): boolean => !isLeft(scene, plantsDespiteCuts) && !router.isHolding;
  for (let round = 0; scene.timers.now() < end || (!isOver() && round < 1000); round++) {
    for (const sender of senders) {
      if (sender.agent.pending > 100) continue;
      for (const qos of [0, 1, 2] as const) scene.publish(sender, `rove/${qos}/${sender.name}`, { qos });
    }
    await scene.elapse(15);
  }
  await scene.idle(senders);
  for (const { agent } of senders) agent.sleep();
  for (const network of networks) {
    delete network.cutEverySeconds;
    delete network.cutAtByte;
  }
}

/** Devices that sleep and wake, and devices that begin anew each time. */
export async function doze(scene: ProofScene, rounds: number): Promise<void> {
  const postman = await scene.present('postman-1', []);
  const names = ['dozer-5', 'dozer-4', 'dozer-55', 'fresh-5', 'fresh-4', 'fresh-44'];
  await Promise.all(
    names.map(async (name) => {
      const filters = [at(`letters/${name}`, 1)];
      const member = scene.member(name, {
        version: name.includes('5') ? 5 : 4,
        session: name.startsWith('fresh') ? 'clean' : 'persistent',
      });
      member.agent.subscribe(filters);
      const isDone = (): boolean => !isLeft(scene, [name.startsWith('fresh') ? 'session-invented' : 'session-lost']);
      for (let round = 0; round < rounds || (!isDone() && round < 200); round++) {
        const { received, ups } = member;
        member.agent.start();
        await scene.until(() => member.ups > ups, `${name} wakes`);
        await scene.subscribed(member, filters);
        scene.publish(postman, `letters/${name}`);
        await scene.until(
          () => member.received > received && scene.broker.router.session(name)?.isIdle === true,
          `${name} gets its letter`,
        );
        await scene.idle([postman]);
        member.agent.sleep();
        await scene.until(() => scene.broker.router.session(name)?.isConnected !== true, `${name} is asleep`);
      }
    }),
  );
}

/** Devices that die, and devices that leave, all with wills. */
export async function die(scene: ProofScene, rounds: number): Promise<void> {
  await scene.present('mourner-1', [at('will/#', 2)]);
  const plants: readonly Plant[] = ['no-will', 'second-will', 'clean-will'];
  const versions: readonly ProtocolVersion[] = [5, 4, 3];
  await Promise.all(
    versions.map(async (version) => {
      const name = `mortal-${version}`;
      const qos: QoS = version === 4 ? 2 : 1;
      const session = version === 4 ? 'clean' : 'persistent';
      const member = scene.member(name, { version, session, will: scene.will(`will/${name}`, { qos }) });
      for (let round = 0; round < rounds || (isLeft(scene, plants) && round < 200); round++) {
        const { ups } = member;
        member.agent.start();
        await scene.until(() => member.ups > ups, `${name} is born`);
        if (round % 3 === 0) member.agent.sleep();
        else if (round % 3 === 1) member.agent.drop(0);
        else member.agent.crash();
        if (round % 3 === 1) continue; // back at once
        await scene.until(() => scene.broker.router.session(name)?.isConnected !== true, `${name} is gone`);
      }
      if (member.agent.state !== 'off') await scene.up(member);
      member.agent.sleep();
    }),
  );
}

/** Retained values that change, and clients that subscribe to them, some again and again. */
export async function look(scene: ProofScene, rounds: number): Promise<void> {
  const keeper = await scene.present('keeper-1', []);
  const filters = [at('kept/#', 1)];
  const change = async (): Promise<void> => {
    for (let topic = 0; topic < 6; topic++) scene.publish(keeper, `kept/${topic}`, { retain: true });
    await scene.idle([keeper]);
  };
  await change();
  await change();
  const plants: readonly Plant[] = ['no-retained', 'stale-retained'];
  const old = await scene.present('looker-0', filters);
  for (let round = 1; round <= rounds || (isLeft(scene, plants) && round < 100); round++) {
    await scene.present(`looker-${round}`, filters, { version: round % 2 === 0 ? 4 : 5 });
    old.agent.subscribe(filters);
    await scene.subscribed(old, filters);
    if (round % 3 === 0) await change();
  }
}

/** Deliveries that come when nobody expects them any more. To be run when all else is over. */
export async function delay(scene: ProofScene): Promise<void> {
  const filters = [at('late/#', 2)];
  await Promise.all([scene.present('waiter-1', filters), scene.present('waiter-2', filters, { version: 4 })]);
  const sender = await scene.present('sender-late', []);
  for (let topic = 0; isLeft(scene, ['late']) && topic < 400; topic++) {
    scene.publish(sender, `late/${topic}`, { qos: topic % 2 === 0 ? 1 : 2 });
    await scene.idle([sender]);
  }
  await scene.drained();
  scene.timers.shift(60_000);
  scene.broker.router.releaseLate();
}
