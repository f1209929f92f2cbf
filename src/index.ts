import { Broker, startBroker } from './broker.ts';
import type { BrokerParts } from './broker-parts.ts';
import { type Config, createConfig, type DeepPartial } from './config.ts';
import type { Hooks } from './hooks/hooks.ts';
import type { Logger } from './lib/logger.ts';
import type { Store } from './store/store.ts';

/** What an embedding program says about its broker: sections of the configuration, and parts of its own. */
export interface BrokerOptions extends DeepPartial<Config> {
  readonly hooks?: Hooks;
  readonly logger?: Logger;
  readonly storage?: Store;
}

/**
 * Starts a broker inside this program; several may run side by side on different ports and data directories. Unlike the
 * command it keeps everything in memory unless `store` says otherwise.
 * @throws ConfigError, StoreError, or the error of a listener, with a sentence for people.
 */
export async function createBroker(options: BrokerOptions = {}): Promise<Broker> {
  const { hooks, logger, storage, ...sections } = options;
  const config = createConfig({ ...sections, store: sections.store ?? { type: 'memory' } });
  const parts: BrokerParts = { hooks, logger, store: storage };
  return startBroker(config, parts);
}

export { Broker };
export type { BanRequest } from './local-ban.ts';
export type { Ban, BanKind } from './limits/ban-lines.ts';
export type { OutgoingMessage } from './local-publish.ts';
export type { Config, DeepPartial } from './config.ts';
export { ConfigError } from './config.ts';
export type { BrokerCounters } from './counters.ts';
export type * from './hooks/hooks.ts';
export type { Logger } from './lib/logger.ts';
export type { MessageListener } from './local-subscription.ts';
export type {
  AuthPacket,
  ConnectPacket,
  Properties,
  ProtocolVersion,
  Qos,
  UserProperty,
  Will,
} from './protocol/packets.ts';
export { ReasonCode } from './protocol/reason-codes.ts';
export type * from './store/store.ts';
export { StoreError } from './store/store.ts';
export type { ByteStream, ByteStreamHandler, Listener } from './transport/byte-stream.ts';
export { NodeStream } from './transport/node-stream.ts';
