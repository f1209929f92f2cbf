/** Statements of 5.0 that bind only the client, or that nothing seen from outside a server can show: id and why. */
export const notObservableV5: ReadonlyMap<string, string> = new Map([
  ['MQTT-3.1.2-20', 'Binds the client: it has to send something within its keep alive; the broker acts on 3.1.2-22.'],
  ['MQTT-3.2.2-4', 'Binds the client: what it does with Session Present 1 where it has no session.'],
  ['MQTT-3.2.2-5', 'Binds the client: what it does with Session Present 0 where it has a session.'],
]);
