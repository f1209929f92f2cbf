import { Client } from './client.ts';
import { DeliveryCheck } from './delivery-check.ts';
import { encodePublish, packetIdFromEnd, PacketType } from './packets.ts';
import { Publisher } from './publisher.ts';
import type { Report, Run, Sample } from './run.ts';
import { Subscriber } from './subscriber.ts';

/** Waits for all of a backlog and reports how fast it came. */
async function drainBacklog(run: Run, from: Sample, subscriber: Subscriber): Promise<Report> {
  const { count } = run.options;
  let to = from;
  await run.drain(() => {
    if (run.ledger.delivered > to.delivered) to = run.sample();
    return run.ledger.delivered >= count;
  });
  const { delivered, duplicates, reordered } = subscriber.check;
  await subscriber.close();
  return { ...run.report(from, to, delivered), lost: count - delivered, duplicates, reordered };
}

/** Queues messages for a subscriber that is away, then measures how fast it gets them when it is back. */
export async function runOffline(run: Run): Promise<Report> {
  const { target, ledger, shape, options } = run;
  const publisherOptions = {
    index: 0,
    topicName: 'offline/0',
    shape,
    window: options.window,
    deliveriesEach: 0,
    limit: options.count,
  };
  const publisher = new Publisher(target, ledger, publisherOptions, 'publisher');
  const check = new DeliveryCheck(1);
  const subscriberOptions = { topicFilters: ['offline/+'], shape, isPersistent: true, check, publishers: [publisher] };
  const subscriber = new Subscriber(target, ledger, subscriberOptions, 'subscriber');
  await subscriber.open();
  await subscriber.subscribe();
  await subscriber.close();
  await publisher.open();
  publisher.start();
  if (!(await run.drain(() => ledger.acknowledged === options.count)))
    target.fail('Not all messages were acknowledged.');
  await publisher.close();

  const from = run.sample();
  await subscriber.open();
  if (!subscriber.sessionPresent) target.fail('The broker did not keep the session.');
  return drainBacklog(run, from, subscriber);
}

/** Publishes retained messages with QoS 1, each to a topic of its own. */
class RetainedPublisher extends Client {
  sent = 0;
  readonly #run: Run;

  constructor(run: Run) {
    super(run.target, 'publisher', true);
    this.#run = run;
  }

  noteDelivery(): void {}

  override onPacket(firstByte: number): void {
    if (firstByte !== PacketType.puback)
      this.target.fail('The broker answered a retained message with something else.');
    this.#run.ledger.acknowledged++;
    this.publish();
  }

  /** Publishes as much as the window allows. */
  publish(): void {
    const { ledger, options } = this.#run;
    const shape = { ...this.#run.shape, qos: 1, retain: true } as const;
    const window = Math.min(options.window, this.receiveMaximum);
    while (this.sent < options.count && this.sent - ledger.acknowledged < window) {
      const packet = encodePublish(shape, `retained/${Math.floor(this.sent / 1000)}/${this.sent}/state`, 0);
      packet.writeUInt16BE((this.sent % 65_535) + 1, packet.length - packetIdFromEnd(shape));
      packet.writeUInt32LE(this.sent, packet.length - shape.payloadBytes + 4);
      this.send(packet);
      this.sent++;
      ledger.sent++;
    }
  }
}

/** Fills the broker with retained messages, then measures how fast a new subscriber to all of them gets them. */
export async function runRetained(run: Run): Promise<Report> {
  const { target, ledger, options } = run;
  const publisher = new RetainedPublisher(run);
  await publisher.open();
  publisher.publish();
  if (!(await run.drain(() => ledger.acknowledged === options.count)))
    target.fail('Not all messages were acknowledged.');
  await publisher.close();

  const check = new DeliveryCheck(1);
  const subscriberOptions = { topicFilters: ['#'], shape: run.shape, check, publishers: [publisher] };
  const subscriber = new Subscriber(target, ledger, subscriberOptions, 'subscriber');
  await subscriber.open();
  const from = run.sample();
  await subscriber.subscribe();
  // Each has a topic of its own, so that any order will do.
  return { ...(await drainBacklog(run, from, subscriber)), reordered: 0 };
}
