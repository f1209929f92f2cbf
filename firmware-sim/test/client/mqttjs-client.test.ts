import { MqttJsClients } from '../../src/client/mqttjs-client.ts';
import { describeClient } from './client-contract.ts';

describeClient('MqttJsClient', (timers, links) => new MqttJsClients(timers, links));
