/** Statements of 5.0, from 3.3.1-1 on, that bind only the client or that nothing seen from outside a server can show: id and why. */
export const notObservableV5B: ReadonlyMap<string, string> = new Map([
  ['MQTT-3.3.2-10', 'Binds the client: which aliases it has to accept; the broker is held to them by 3.3.2-11.'],
  ['MQTT-3.3.4-8', 'Binds the client: what it must not hold back; the broker is held to it by 3.3.4-10.'],
  ['MQTT-4.5.0-2', 'Binds the client: it has to acknowledge every PUBLISH it receives.'],
]);
