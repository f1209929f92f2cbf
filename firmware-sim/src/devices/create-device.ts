import type { DeviceClass } from '../scenario/scenario.ts';
import { planActuators } from './actuator.ts';
import { planDashboards } from './dashboard.ts';
import type { Device, DeviceContext } from './device.ts';
import { planSparkplugGateways } from './gateway-sparkplug.ts';
import { planOperators } from './operator.ts';
import { planSensors } from './sensor.ts';

/** Prepares a class once, and returns what makes its devices: they share templates, tables and padding. */
export function planDevices(deviceClass: DeviceClass): (context: DeviceContext) => Device {
  switch (deviceClass.kind) {
    case 'sensor':
      return planSensors(deviceClass);
    case 'gateway':
      return deviceClass.sparkplug === undefined
        ? planSensors(deviceClass)
        : planSparkplugGateways(deviceClass, deviceClass.sparkplug);
    case 'actuator':
      return planActuators(deviceClass);
    case 'dashboard':
      return planDashboards(deviceClass);
    case 'operator':
      return planOperators(deviceClass);
  }
}

/** Makes a single device; who makes many of a class uses {@link planDevices}. */
export function createDevice(deviceClass: DeviceClass, context: DeviceContext): Device {
  return planDevices(deviceClass)(context);
}
