import { PacketClients } from '../../src/client/packet-client.ts';
import { describeClient } from './client-contract.ts';

describeClient('PacketClient', (timers, links) => new PacketClients(timers, links));
