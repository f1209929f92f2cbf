/** The broker sent what is not MQTT, or what it must not send to a client; the message is one clause for people. */
export class Malformed extends Error {
  override readonly name = 'Malformed';
}
