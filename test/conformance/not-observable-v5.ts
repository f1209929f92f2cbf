/** Statements of 5.0 that bind only the client, or that nothing seen from outside a server can show: id and why. */
export const notObservableV5: ReadonlyMap<string, string> = new Map([
  ['MQTT-3.1.2-20', 'Binds the client: it has to send something within its keep alive; the broker acts on 3.1.2-22.'],
  ['MQTT-3.2.2-4', 'Binds the client: what it does with Session Present 1 where it has no session.'],
  ['MQTT-3.2.2-5', 'Binds the client: what it does with Session Present 0 where it has a session.'],
  ['MQTT-3.3.2-10', 'Binds the client: which aliases it has to accept; the broker is held to them by 3.3.2-11.'],
  ['MQTT-3.3.4-8', 'Binds the client: what it must not hold back; the broker is held to it by 3.3.4-10.'],
  ['MQTT-4.5.0-2', 'Binds the client: it has to acknowledge every PUBLISH it receives.'],
]);
