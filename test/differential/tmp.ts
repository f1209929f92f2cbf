import { findTool } from '../tools.ts';
import { startMosquitto, startTrellis } from './brokers.ts';
import { Arena } from './comparison.ts';
import { describeComparison } from './report.ts';
import { wrongPackets, WRONG_CONNECTS } from './wrong-packets.ts';
import { bytesOf } from '../protocol/vectors/notation.ts';
const t = await startTrellis();
const m = await startMosquitto(findTool('mosquitto')!);
const arena = new Arena({ trellis: t.port, mosquitto: m.port });
for (const version of [4, 5] as const) {
  const open = {
    kind: 'open' as const,
    client: 0,
    version,
    acknowledges: true,
    connect: {
      name: 'CONNECT ' + version,
      packet: undefined,
      hex: bytesOf(
        version === 5 ? '10 * "MQTT" 05 02 003c [] "differential-0"' : '10 * "MQTT" 04 02 003c "differential-0"',
      ).toString('hex'),
    },
  };
  for (const { name, bytes } of wrongPackets(version)) {
    const c = await arena.compare(
      [
        open,
        {
          kind: 'send',
          client: 0,
          packets: [{ name: `v${version} ${name}`, packet: undefined, hex: bytesOf(bytes).toString('hex') }],
        },
      ],
      0,
    );
    if (c.unexplained) console.log(describeComparison(c).split('\n').slice(4, 7).join('\n'));
  }
}
for (const { name, version, bytes } of WRONG_CONNECTS) {
  const c = await arena.compare(
    [
      {
        kind: 'open',
        client: 0,
        version,
        acknowledges: true,
        connect: {
          name: `v${version} ${name}`,
          packet: undefined,
          hex: bytesOf(bytes('differential-0')).toString('hex'),
        },
      },
    ],
    0,
  );
  if (c.unexplained) console.log(describeComparison(c).split('\n').slice(2, 5).join('\n'));
}
await m.stop();
await t.stop();
