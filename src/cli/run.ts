import { ConfigError } from '../config.ts';
import { nearest } from '../lib/nearest.ts';
import { version } from '../version.ts';
import { CommandError, ExitCode, UsageError } from './errors.ts';
import { errorText } from '../lib/error-text.ts';

const help = `Usage: trellis COMMAND [flags]

Trellis is an MQTT broker for MQTT 5.0, 3.1.1 and 3.1 whose acknowledgements mean durable.

Commands:
  start      Runs the broker: MQTT on 127.0.0.1:1883, WebSocket on 127.0.0.1:8083/mqtt, data in ./data.
  check      Checks a configuration and prints all of it, with where each value came from.
  explain    Says whether a client is let in, or may publish or subscribe, and what decides.
  import     Takes over what another broker kept: sessions, queues, wills and retained messages of Aedes.
  user       Keeps the password file: adds, changes, removes and lists users.
  cert       Makes certificates for trying TLS out: a local authority, the broker's, and clients'.
  pub        Publishes messages; takes the flags of mosquitto_pub.
  sub        Subscribes and prints what comes in; takes the flags of mosquitto_sub.
  sim        Simulates device fleets on any broker and checks what it delivered.
  bench      Measures any broker: fanin, fanout, p2p, iot, conn, retained or offline.

Flags:
  --help     Prints this; after a command, what that command takes.
  --version  Prints the version.

Try it, in three terminals:
  trellis start
  trellis sub -t 'demo/#' -v
  trellis pub -t demo/hello -m 'Hello'

Exit codes: 0 done, 1 something failed, 2 wrong flags or configuration.
`;

/** Runs the command line given without node and script; resolves to the exit code and never rejects. */
export async function run(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args[0], args.slice(1));
  } catch (error) {
    return report(error);
  }
}

async function dispatch(command: string | undefined, args: readonly string[]): Promise<number> {
  switch (command) {
    // Each command is loaded when it is asked for: pub and sub need no broker, start needs no client.
    case 'start':
      return (await import('./start.ts')).start(args);
    case 'check':
      return (await import('./check.ts')).check(args);
    case 'explain':
      return (await import('./explain.ts')).explain(args);
    case 'import':
      return (await import('./import.ts')).importFrom(args);
    case 'user':
      return (await import('./user.ts')).user(args);
    case 'cert':
      return (await import('./cert.ts')).cert(args);
    case 'pub':
      return (await import('./pub.ts')).pub(args);
    case 'sub':
      return (await import('./sub.ts')).sub(args);
    case 'sim':
      return (await import('../../firmware-sim/src/cli/run-cli.ts')).runSim(args);
    case 'bench':
      return (await import('../../firmware-sim/src/cli/run-cli.ts')).runBench(args);
    case '--version':
      process.stdout.write(`${version}\n`);
      return ExitCode.ok;
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(help);
      return ExitCode.ok;
    case undefined:
      throw new UsageError(
        'A command is missing: start, check, explain, import, user, cert, pub, sub, sim or bench; see trellis --help.',
      );
    default:
      throw unknownCommand(command);
  }
}

function unknownCommand(command: string): UsageError {
  const near = nearest(command, [
    'start',
    'check',
    'explain',
    'import',
    'user',
    'cert',
    'pub',
    'sub',
    'sim',
    'bench',
    '--help',
    '--version',
  ]);
  const shown = JSON.stringify(command).slice(1, -1);
  return new UsageError(
    near === undefined
      ? `There is no command ${shown}; see trellis --help.`
      : `There is no command ${shown}; did you mean ${near}?`,
  );
}

/** Writes what went wrong to stderr as sentences, and says which exit code it is. */
function report(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const problem of error.problems) process.stderr.write(`trellis: ${problem}\n`);
    return ExitCode.usage;
  }
  const message = errorText(error);
  process.stderr.write(`trellis: ${message}\n`);
  return error instanceof CommandError ? error.exitCode : ExitCode.failure;
}
