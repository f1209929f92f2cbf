/** Statements of 3.1.1 that bind only the client, or that nothing seen from outside a server can show: id and why. */
export const notObservableV3: ReadonlyMap<string, string> = new Map([
  ['v3 MQTT-2.3.1-2', 'Binds the client: how it picks packet ids for what it sends.'],
  [
    'v3 MQTT-2.3.1-3',
    'Binds the client: which packet id it uses when it sends again; the broker is held to it by 2.3.1-4.',
  ],
  ['v3 MQTT-3.1.2-23', 'Binds the client: it has to send something within its keep alive.'],
  ['v3 MQTT-3.14.4-1', 'Binds the client: it has to close the connection after DISCONNECT.'],
  ['v3 MQTT-3.14.4-2', 'Binds the client: it must not send anything after DISCONNECT.'],
  ['v3 MQTT-4.5.0-2', 'Binds the client: it has to acknowledge every PUBLISH it receives.'],
  ['v3 MQTT-7.0.0-1', 'Does not apply: the broker opens no MQTT connections to other servers.'],
  ['v3 MQTT-7.1.2-1', 'Binds the client: which transports it has to support.'],
]);
