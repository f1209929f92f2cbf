import type { DeviceBase, Life, Subscription } from '../scenario/scenario.ts';
import type { DeviceContext } from './device.ts';
import type { LivingParts } from './life.ts';
import { TopicTemplate, type TopicValues } from './topics.ts';

/** What is filled into the topics of a device. */
export function topicValues(deviceClass: DeviceBase, context: DeviceContext): TopicValues {
  return { prefix: context.topicPrefix, class: deviceClass.name, device: context.name, index: context.index };
}

/** The subscriptions that a class declares, prepared once. */
export function planSubscriptions(deviceClass: DeviceBase): (names: TopicValues) => Subscription[] {
  const templates = deviceClass.subscribes.map((subscription) => ({
    subscription,
    filter: new TopicTemplate(subscription.topicFilter),
  }));
  return (names) =>
    templates.map(({ subscription, filter }) => ({ ...subscription, topicFilter: filter.expand(names) }));
}

/** What living devices of all kinds have in common, prepared once for a class. */
export function planLiving(
  deviceClass: DeviceBase & { readonly life: Life },
): (names: TopicValues) => Pick<LivingParts, 'life' | 'configTopic' | 'subscriptions'> {
  const { life } = deviceClass;
  const subscriptions = planSubscriptions(deviceClass);
  const configTopic = life.configTopic === undefined ? undefined : new TopicTemplate(life.configTopic);
  return (names) => ({ life, configTopic: configTopic?.expand(names), subscriptions: subscriptions(names) });
}
