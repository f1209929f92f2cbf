import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endAll, trellis } from '../cli/trellis.ts';
import { brokenFiles } from './broken-files.ts';
import { Materials } from './materials.ts';

let directory: string;
let materials: Materials;

beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'trellis-broken-')));
  materials = new Materials(directory);
});

afterAll(async () => {
  await endAll();
  rmSync(directory, { recursive: true });
});

test('there are sixty broken files at least', () => {
  expect(brokenFiles.length).toBeGreaterThanOrEqual(60);
});

test.concurrent.each(
  brokenFiles.map((broken, index) => ({ ...broken, index, title: `${broken.name} ${broken.what}` })),
)(
  'a broker does not start with $title, and says why in a sentence',
  async ({ index, name, naming, fault, sentence }) => {
    const own = mkdtempSync(join(directory, `${index}-`));
    const file = join(own, name);
    fault(file, materials);
    const sections = { store: { type: 'memory' }, ...naming(file, materials), log: { level: 'error' } };
    const listeners = {
      tcp: { port: 0 },
      websocket: { port: 'off' },
      ...(sections as { listeners?: object }).listeners,
    };
    const config = materials.write(`${index}.json`, JSON.stringify({ ...sections, listeners }));
    const broker = trellis(['start', '--config', config], { directory: own });
    const started = broker.until('stdout', /^ready /m).then(
      () => 'started',
      () => 'ended',
    );
    expect(await Promise.race([started, broker.exited.then(() => 'ended')])).toBe('ended');
    const said = broker.stderr
      .replaceAll(file, 'FILE')
      .replaceAll(`${directory}/`, '')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, 'DATE');
    expect({ code: await broker.exited, stdout: broker.stdout, said }).toEqual({
      code: 2,
      stdout: '',
      said: `trellis: ${sentence}\n`,
    });
  },
);
