/** Aedes as its README sets it up, in memory, on the port given as the only argument. */
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { watchEventLoop } from './event-loop.ts';

const aedes = await Aedes.createBroker();
createServer(aedes.handle).listen({ port: Number(process.argv[2]), host: '127.0.0.1', noDelay: true, backlog: 1024 });
const eventLoop = watchEventLoop();
process.once('SIGTERM', () => process.stdout.write(`${JSON.stringify(eventLoop())}\n`, () => process.exit()));
