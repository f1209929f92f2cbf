import { Churner } from './churner.ts';
import { Device, type DeviceWorld } from './device.ts';
import { LOAD, Publisher } from './publisher.ts';
import { WillClient } from './will-client.ts';

const NEVER = 0xffff_ffff;

/** All devices of a crash run. */
export interface Fleet {
  publishers: Publisher[];
  /** Everyone who is connected whenever there is a broker. */
  subscribers: Device[];
  /** Is away most of the time, and gets everything in the end. */
  away: Device;
  churner: Churner;
  members: Device[];
  wills: WillClient[];
}

/** Makes the devices: both versions, both ways to take QoS 2, sessions that expire and that do not. */
export function makeFleet(world: DeviceWorld): Fleet {
  const forever = { sessionExpiryInterval: NEVER };
  const hour = { sessionExpiryInterval: 3600 };
  const group = { ...hour, taker: 'group' };
  const clean = { sessionExpiryInterval: 0 };
  return {
    publishers: [
      new Publisher(world, { clientId: 'publisher-v4', version: 4, ...forever }),
      new Publisher(world, { clientId: 'publisher-v5', version: 5, ...hour }),
      new Publisher(world, { clientId: 'publisher-v5-forever', version: 5, ...forever }),
    ],
    subscribers: [
      new Device(world, { clientId: 'all-v4', version: 4, ...forever, qos2Method: 'A' }),
      new Device(world, { clientId: 'all-v5', version: 5, ...hour, receiveMaximum: 5 }),
      new Device(world, { clientId: 'low-v4', version: 4, ...forever }),
    ],
    away: new Device(world, { clientId: 'away', version: 5, ...hour, qos2Method: 'A' }),
    churner: new Churner(world, { clientId: 'churner', version: 5, ...hour }),
    members: [
      new Device(world, { clientId: 'member-v5', version: 5, ...group, receiveMaximum: 8 }),
      new Device(world, { clientId: 'member-v4', version: 4, ...group, qos2Method: 'A' }),
    ],
    wills: [
      new WillClient(world, { clientId: 'will-v4', version: 4, ...clean }, 1),
      new WillClient(world, { clientId: 'will-v5', version: 5, ...clean }, 2),
      new WillClient(world, { clientId: 'will-v5-session', version: 5, ...hour }, 2),
    ],
  };
}

/** Has those who are to get everything subscribe; the devices must be connected. */
export function subscribeFleet({ subscribers, away, members }: Fleet): void {
  for (const device of [...subscribers, away]) {
    const isLow = device.clientId === 'low-v4';
    device.subscribe({ topicFilter: isLow ? `${LOAD}/+/1` : `${LOAD}/#`, qos: isLow ? 1 : 2 });
    device.subscribe({ topicFilter: 'will/#', qos: isLow ? 1 : 2 });
  }
  for (const member of members) member.subscribe({ topicFilter: `$share/group/${LOAD}/#`, qos: 2 }, true);
}

/** Every device of the fleet. */
export function allDevices({ publishers, subscribers, away, churner, members, wills }: Fleet): Device[] {
  return [...publishers, ...subscribers, away, churner, ...members, ...wills];
}
