import type { Qos } from './packets.ts';

/** Whether two bits off the wire are a QoS level: 3 is none, section 4.3. */
export function isQos(value: number): value is Qos {
  return value === 0 || value === 1 || value === 2;
}
