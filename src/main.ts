#!/usr/bin/env node
// Only what the oldest Node can read stands before the check of its version.
const oldest = [22, 18] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  process.stderr.write(`trellis: needs Node.js ${oldest.join('.')} or later; this is ${process.versions.node}.\n`);
  process.exitCode = 2;
} else {
  // Whoever reads the output may leave at any time (sub | head); commands that mind listen for it themselves.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  // Compiled sources are kept between runs in the system's folder for temporary files: a third of the time to start.
  const { enableCompileCache } = await import('node:module');
  enableCompileCache();
  const { run } = await import('./cli/run.ts');
  const exitCode = await run(process.argv.slice(2));
  process.stdout.write('', () => process.exit(exitCode));
}
