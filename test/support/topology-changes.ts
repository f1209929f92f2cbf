import * as fc from 'fast-check';
import type { TopologyChange } from '../../src/store/topology-change.ts';

/** What random changes are about; the smaller the choice, the more often they meet. */
export interface ChangeNames {
  clientIds: fc.Arbitrary<string>;
  nodeIds: fc.Arbitrary<string>;
  queueIds: fc.Arbitrary<number>;
  shareNames: fc.Arbitrary<string>;
  topicFilters: fc.Arbitrary<string>;
}

/** Random changes of all kinds, more puts than deletes. */
export function topologyChanges(names: ChangeNames): fc.Arbitrary<TopologyChange> {
  const { clientIds: clientId, nodeIds: nodeId, queueIds: queueId } = names;
  const { topicFilters: topicFilter } = names;
  const shareKey = fc.tuple(names.shareNames, topicFilter).map((parts) => parts.join('/'));
  const record = fc.record({
    topicFilter,
    qos: fc.constantFrom(0, 1, 2),
    noLocal: fc.boolean(),
    retainAsPublished: fc.boolean(),
    retainHandling: fc.constantFrom(0, 1, 2),
    subscriptionIdentifier: fc.constantFrom(0, 0, 1, 2, 268_435_455),
  });
  const online = fc.constantFrom(0, 1, 2, 0xffff_ffff);
  const kinds: { weight: number; arbitrary: fc.Arbitrary<TopologyChange> }[] = [
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('subscription-put'), clientId, nodeId, queueId, record }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('subscription-delete'), clientId, topicFilter }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('session-delete'), clientId }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('session-moved'), clientId, nodeId }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('route-put'), nodeId, topicFilter }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('route-delete'), nodeId, topicFilter }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('share-put'), nodeId, shareKey, queueId, online }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('share-delete'), nodeId, shareKey, queueId }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('node-delete'), nodeId }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('node-put'), nodeId }) },
  ];
  return fc.oneof(...kinds);
}
