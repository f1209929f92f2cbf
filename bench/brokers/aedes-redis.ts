/**
 * Aedes with aedes-persistence-redis and mqemitter-redis, as their READMEs set them up, with room for every queued message.
 * Arguments: PORT REDIS-PORT.
 */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import redisPersistence from 'aedes-persistence-redis';
import { Redis } from 'ioredis';
import redisEmitter from 'mqemitter-redis';
import { watchEventLoop } from './event-loop.ts';

/** Messages that a session is sent when it is back; with the default of 1,000 it loses those behind them. */
const SESSION_DELIVERY_MAX = 1_000_000;

const redis = { port: Number(process.argv[3]), host: '127.0.0.1' };
const persistence = redisPersistence({ conn: new Redis(redis), maxSessionDelivery: SESSION_DELIVERY_MAX });
const aedes = await Aedes.createBroker({ persistence, mq: redisEmitter(redis) });
createServer(aedes.handle).listen({ port: Number(process.argv[2]), host: '127.0.0.1', noDelay: true, backlog: 1024 });
const eventLoop = watchEventLoop();
process.once('SIGTERM', () => process.stdout.write(`${JSON.stringify(eventLoop())}\n`, () => process.exit()));
