import type { Flag } from './flags.ts';

export const help: Flag = { names: ['--help', '-h'], group: 'Other', help: 'Prints this.' };

/** Flags of everything that runs a scenario. */
export const runFlags: readonly Flag[] = [
  {
    names: ['--broker'],
    value: 'URL',
    group: 'Broker',
    help: 'mqtt://, mqtts://, ws:// or wss://host:port. Without it (and without a URL in the scenario) the run starts a Trellis broker of its own on a free port.',
  },
  {
    names: ['--websocket'],
    value: 'URL',
    group: 'Broker',
    help: 'Where devices on WebSocket go; ws://host:8083/mqtt of the same host unless named.',
  },
  { names: ['--username'], value: 'NAME', group: 'Broker', help: 'For devices that have none of their own.' },
  {
    names: ['--password'],
    value: 'SECRET',
    group: 'Broker',
    help: 'Better given as SIM_PASSWORD in the environment, where other users cannot see it.',
  },
  { names: ['--ca'], value: 'FILE', group: 'Broker', help: 'PEM file of the authorities to trust, for mqtts and wss.' },
  { names: ['--cert'], value: 'FILE', group: 'Broker', help: "PEM file with the devices' certificate." },
  { names: ['--key'], value: 'FILE', group: 'Broker', help: 'PEM file with its key.' },
  { names: ['--insecure'], group: 'Broker', help: 'Accepts any certificate of the broker.' },
  {
    names: ['--kill-broker'],
    value: 'COMMAND|PID',
    group: 'Broker',
    help: 'Kills the broker under the run and brings it up again: a shell command that does both, or the number of the process, which gets SIGKILL and is started again with the same command line. Every 10 s unless the scenario says how often.',
  },
  { names: ['--devices'], value: 'N', group: 'Load', help: 'Devices in all; classes keep their proportions.' },
  {
    names: ['--duration'],
    value: 'SECONDS',
    group: 'Load',
    help: 'Length of all stages together, in their proportions; what is owed at the end still gets the time it had.',
  },
  {
    names: ['--seed'],
    value: 'N',
    group: 'Load',
    help: 'Seed of everything that is random; the same seed gives the same run.',
  },
  {
    names: ['--threads'],
    value: 'N',
    group: 'Load',
    help: 'Threads for the devices. Default 0: the main thread alone, which is enough for some 10,000 devices.',
  },
  { names: ['--report'], value: 'FILE.json', group: 'Output', help: 'Writes the report as JSON.' },
  { names: ['--html'], value: 'FILE.html', group: 'Output', help: 'Writes the report as one HTML page with plots.' },
  { names: ['--quiet'], group: 'Output', help: 'No live view and no tables; the last line alone says PASS or FAIL.' },
  { names: ['--no-color'], group: 'Output', help: 'No colours.' },
  help,
];

/** What `sim --help` says. */
export const simHelp: string = `
Usage: trellis sim [COMMAND] [flags]        (in a clone: npm run sim -- [COMMAND] [flags])

Simulates fleets of devices on any MQTT broker, and proves what the broker delivered: every message carries its sender,
its number, its time and a checksum, and whatever is lost, doubled, reordered, damaged or given to the wrong client is
counted.

Commands:
  tour              A fleet of 200 devices of every kind for two minutes; what runs when no command is given.
  run SCENARIO      Runs a scenario: a file (.yaml, .json, .ts, .js), or the name of one that comes along.
  scenarios         Lists the scenarios that come along.
  init [FILE]       Writes a commented scenario to begin with; scenario.yaml unless named.
  check SCENARIO    Says what is wrong with a scenario, without running it.
  compare A B       Shows two JSON reports side by side.
  bench ...         For people who only want a number; see trellis bench --help.

Try it:
  trellis sim
  trellis sim tour --broker mqtt://127.0.0.1:1883 --devices 50 --duration 15 --report out.json
  trellis sim run smart-home --broker mqtt://192.168.1.5
  trellis sim run kill-broker --html report.html

trellis sim COMMAND --help tells the flags of each.
Exit codes: 0 every threshold holds, 1 one does not or the run failed, 2 wrong flags or scenario, 130 ended by ctrl-C.
`.trimStart();
