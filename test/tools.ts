import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that some tests use, and the Debian package each comes in. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['mosquitto', 'mosquitto'],
  ['mosquitto_pub', 'mosquitto-clients'],
  ['mosquitto_sub', 'mosquitto-clients'],
  ['chromium', 'chromium'],
  ['openssl', 'openssl'],
  ['redis-server', 'redis-server'],
]);

/** Where a program is, in PATH or the folder of system daemons; undefined when it is not installed. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Installs the programs that are missing, where this is Debian and we may; tests that need one skip with a reason elsewhere. */
export function installTools(): void {
  const missing = new Set([...PACKAGES].filter(([name]) => findTool(name) === undefined).map(([, debian]) => debian));
  if (missing.size === 0) return;
  const list = [...missing].join(' ');
  if (process.getuid?.() !== 0 || findTool('apt-get') === undefined) {
    console.log(`Tests that need ${list} are skipped: install them to run those as well.`);
    return;
  }
  console.log(`Installing ${list} for the tests.`);
  // Services that packages would start belong to nobody here.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  spawnSync('apt-get', ['update'], { env, stdio: 'ignore', timeout: 300_000 });
  const args = ['install', '-y', '--no-install-recommends', ...missing];
  const { status } = spawnSync('apt-get', args, { env, stdio: 'ignore', timeout: 900_000 });
  if (status !== 0) console.log(`Installing ${list} failed: tests that need them are skipped.`);
}
