import type { Finding } from './inspection.ts';
import { NO_MEMBERS } from '../../src/store/topology-change.ts';
import type { SimulatedRedis } from './simulated-redis.ts';

/** What is in Redis at rest that belongs to nobody, while all nodes run. */
export function auditRedis(redis: SimulatedRedis): Finding[] {
  const texts: string[] = [];
  const living: Set<number> = new Set();
  for (const [clientId, { owner, record, inbound }] of redis.sessions) {
    if (record !== undefined) living.add(record.queueId);
    const owners = [...redis.own].filter(([, own]) => own.has(clientId)).map(([nodeId]) => nodeId);
    if (owners.length !== 1 || owners[0] !== owner)
      texts.push(`${clientId} belongs to ${owner}, and is among those of ${owners.join(', ') || 'nobody'}`);
    if (owner === undefined || !redis.nodes.has(owner))
      texts.push(`${clientId} belongs to ${owner}, which is not there`);
    if (record === undefined && inbound.size > 0) texts.push(`${clientId} has packet ids without a session`);
  }
  for (const [nodeId, own] of redis.own)
    for (const clientId of own)
      if (!redis.sessions.has(clientId)) texts.push(`${nodeId} has ${clientId}, of which there is nothing`);
  for (const [nodeId, groups] of redis.groups)
    for (const [queueId, { record, online }] of groups) {
      living.add(queueId);
      if (redis.queues.get(queueId)?.owner !== nodeId)
        texts.push(`part ${queueId} of ${record.shareKey} is ${nodeId}'s, its queue is not`);
      if (online === NO_MEMBERS) texts.push(`part ${queueId} of ${record.shareKey} has no members and is still there`);
    }
  for (const [queueId, { owner, entries, mailbox }] of redis.queues) {
    if (!living.has(queueId)) texts.push(`queue ${queueId} of ${owner} belongs to no session and no group`);
    if (mailbox.length > 0) texts.push(`queue ${queueId} of ${owner} has ${mailbox.length} messages in its mailbox`);
    if (entries.size > 0) texts.push(`queue ${queueId} of ${owner} has ${entries.size} entries`);
    const session = [...redis.sessions.values()].find(({ record }) => record?.queueId === queueId);
    if (session !== undefined && session.owner !== owner)
      texts.push(`queue ${queueId} is ${owner}'s, its session ${session.owner}'s`);
  }
  for (const nodeId of redis.inboxes.keys())
    if (!redis.nodes.has(nodeId)) texts.push(`${nodeId} has an inbox and is not there`);
  for (const nodeId of redis.gone) texts.push(`what ${nodeId} left is nobody's`);
  return texts.map((text) => ({ fault: 'left-over', text }));
}
