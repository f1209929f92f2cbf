import { Device } from './device.ts';
import { CHURN } from './publisher.ts';

/** Changes its subscription with each connection: unsubscribes from one topic, subscribes to the other. */
export class Churner extends Device {
  protected override onConnected(): void {
    if (this.unanswered > 0) return;
    const held = this.granted.values().next().value;
    if (held !== undefined) this.unsubscribe(held);
    const topicFilter = CHURN.find((topicName) => topicName !== held?.topicFilter) as string;
    this.subscribe({ topicFilter, qos: 2 });
  }
}
