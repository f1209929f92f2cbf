// Serves the page, and passes its WebSocket on to the broker, as a reverse proxy does in front of a real site: so page and
// broker have one origin, which the broker accepts by itself. Run: npx node examples/browser/serve.ts [PORT] [BROKER PORT]
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';

const [port = '8080', brokerPort = '8083'] = process.argv.slice(2);
const files = new Map([
  ['/', { type: 'text/html; charset=utf-8', body: readFileSync(new URL('index.html', import.meta.url)) }],
  ['/mqtt.min.js', { type: 'text/javascript', body: readFileSync(new URL(import.meta.resolve('mqtt/dist/mqtt.min'))) }],
]);

const server = createServer((request, response) => {
  const file = files.get((request.url ?? '').split('?', 1)[0] ?? '');
  if (file === undefined) response.writeHead(404).end('Nothing is here.\n');
  else response.writeHead(200, { 'Content-Type': file.type }).end(file.body);
});

server.on('upgrade', (request, socket, head) => {
  const broker = connect(Number(brokerPort), '127.0.0.1', () => {
    const lines = [`GET ${request.url ?? '/'} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    broker.write(`${lines.join('\r\n')}\r\n\r\n`);
    broker.write(head);
    socket.pipe(broker).pipe(socket);
  });
  broker.on('error', () => socket.destroy());
  socket.on('error', () => broker.destroy());
});

server.listen(Number(port), '127.0.0.1', () => {
  console.log(`Open http://127.0.0.1:${(server.address() as AddressInfo).port}/ in a browser.`);
});
