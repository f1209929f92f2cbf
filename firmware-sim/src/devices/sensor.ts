import type { GatewayClass, SensorClass } from '../scenario/scenario.ts';
import type { Device, DeviceContext } from './device.ts';
import { DriftingClock } from './device-clock.ts';
import { childNames } from './child-names.ts';
import { LivingDevice } from './life.ts';
import { planLiving, topicValues } from './names.ts';
import { JsonPresence, planPresence } from './presence.ts';
import { DeviceTelemetry, planTelemetry } from './telemetry.ts';

/** Prepares devices that publish telemetry: sensors for themselves, gateways for their children, over one connection. */
export function planSensors(deviceClass: SensorClass | GatewayClass): (context: DeviceContext) => Device {
  const { clock, connection } = deviceClass;
  const living = planLiving(deviceClass);
  const telemetry = planTelemetry(deviceClass.telemetry);
  const presence = planPresence(deviceClass.life);
  return (context) => {
    const { timers } = context;
    const names = topicValues(deviceClass, context);
    const children = deviceClass.kind === 'gateway' ? childNames(context.name, deviceClass.children) : [];
    return new LivingDevice(context, {
      ...living(names),
      presence: new JsonPresence(presence, names, children),
      work: (agent) => {
        const random = context.random.fork('telemetry');
        const ownClock = new DriftingClock(clock, timers.now());
        const work = new DeviceTelemetry({ agent, timers, random, clock: ownClock, window: connection.window });
        if (deviceClass.kind === 'sensor') work.add(telemetry, names);
        for (const child of children) work.add(telemetry, { ...names, child });
        return work;
      },
    });
  };
}
