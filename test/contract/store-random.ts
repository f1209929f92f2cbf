import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Message } from '../../src/protocol/message.ts';
import type { Mutation } from '../../src/store/store.ts';
import type { StorePlace } from './store-contract.ts';
import { StoreModel, describeEntry, describeState } from './store-model.ts';
import {
  entry,
  fullWill,
  inbound,
  put,
  retained,
  session,
  sessionDelete,
  setState,
  subscription,
  text,
  LONG_NAME,
  NO_LIMIT,
} from './store-records.ts';

/** An operation; the numbers choose among the few things there are. */
interface Operation {
  what: number;
  owner: number;
  item: number;
  choice: number;
}

/** One step of a random run: the operations of one batch, closing and opening, or reading a message to put it again. */
export type Step = { operations: Operation[]; wait: boolean } | 'reopen' | 'reread';

const operationArbitrary: fc.Arbitrary<Operation> = fc.record({
  what: fc.integer({ min: 0, max: 15 }),
  owner: fc.integer({ min: 0, max: 3 }),
  item: fc.integer({ min: 1, max: 6 }),
  choice: fc.integer({ min: 0, max: 3 }),
});

/** Random steps. */
export const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      operations: fc.array(operationArbitrary, { minLength: 1, maxLength: 12 }),
      wait: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>('reopen') },
  { weight: 1, arbitrary: fc.constant<Step>('reread') },
);

const OWNERS = ['a', '', '__proto__', LONG_NAME];

type Rest = [queueIds: readonly number[], messages: readonly Message[], renew: (at: number) => void];

/** Plays steps on a store and on the model. Deleted sessions and groups get a new queue id, as the port demands. */
export async function runSteps(place: StorePlace, steps: readonly Step[]): Promise<void> {
  const model = new StoreModel();
  const messages = ['one', 'two', 'three', 'four'].map((payload) => text(payload));
  const queueIds = OWNERS.flatMap((_, at) => [at + 1, at + 101]);
  let lastQueueId = 1_000;
  const renew = (at: number): void => {
    queueIds[at] = ++lastQueueId;
  };
  let store = place.makeStore();
  await store.open();
  for (const step of steps) {
    if (step === 'reopen') {
      await store.close();
      store = place.makeStore();
      assert.deepEqual(describeState(await store.open()), model.describe());
    } else if (step === 'reread') {
      const [first] = await store.readQueue(queueIds[0]!, 0, 1, NO_LIMIT);
      if (first !== undefined) messages[0] = first.message;
    } else {
      const batch = step.operations.flatMap((operation) => toMutations(operation, queueIds, messages, renew));
      for (const mutation of batch) model.apply(mutation);
      const done = store.commit(batch);
      if (step.wait) await done;
    }
  }
  for (const queueId of queueIds) {
    const found = await store.readQueue(queueId, 0, NO_LIMIT, NO_LIMIT);
    assert.deepEqual(found.map(describeEntry), model.queue(queueId).map(describeEntry));
  }
  await store.close();
  store = place.makeStore();
  assert.deepEqual(describeState(await store.open()), model.describe());
  await store.close();
}

/** The mutation, behind what makes an owner of the queue where it puts an entry into one. */
function toMutations(operation: Operation, ...rest: Rest): Mutation[] {
  const mutation = toMutation(operation, ...rest);
  if (mutation.kind !== 'queue-put') return [mutation];
  const name = OWNERS[operation.owner]!;
  const { queueId } = mutation.record;
  if (operation.item % 2 === 0) return [session(name, queueId), mutation];
  return [{ kind: 'group-put', record: { shareKey: name, queueId }, online: 0 }, mutation];
}

function toMutation({ what, owner, item, choice }: Operation, ...[queueIds, messages, renew]: Rest): Mutation {
  const name = OWNERS[owner]!;
  const queueAt = owner * 2 + (item % 2);
  const queueId = queueIds[queueAt]!;
  switch (what) {
    case 0:
      return session(name, queueIds[owner * 2]!, { epoch: item });
    case 1: {
      const deleted = queueIds[owner * 2]!;
      if (item < 4) return { kind: 'queue-delete', queueId: deleted, sequence: item };
      renew(owner * 2);
      return sessionDelete(name, deleted);
    }
    case 2:
      return subscription(name, `${item}`, { subscriptionIdentifier: choice });
    case 3:
      return { kind: 'subscription-delete', clientId: name, topicFilter: `${item}` };
    case 4:
      return { kind: 'group-put', record: { shareKey: name, queueId: queueIds[owner * 2 + 1]! }, online: 0 };
    case 5: {
      const deleted = queueIds[owner * 2 + 1]!;
      if (item < 4) return { kind: 'queue-delete', queueId: deleted, sequence: item };
      renew(owner * 2 + 1);
      return { kind: 'group-delete', shareKey: name, queueId: deleted };
    }
    case 6:
      return inbound(name, item);
    case 7:
      return { kind: 'inbound-delete', clientId: name, packetId: item };
    case 8:
      return choice === 0
        ? { kind: 'will-delete', clientId: name }
        : { kind: 'will-put', record: { ...fullWill, clientId: name, publishAt: item } };
    case 9:
      return choice === 0
        ? { kind: 'retained-delete', topicName: `${item}` }
        : retained(`${item}`, name.slice(0, 5) + choice);
    case 10:
      return { kind: 'queue-delete', queueId, sequence: item };
    case 11:
      return setState(queueId, item, choice, choice < 2 ? 'sent' : 'released');
    default:
      return put({ ...entry(queueId, item, messages[choice]), subscriptionIdentifiers: choice === 0 ? [] : [choice] });
  }
}
