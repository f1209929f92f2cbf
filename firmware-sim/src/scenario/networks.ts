import type { NetworkProfile } from '../wire/network-path.ts';

/** Networks that scenarios may name. Rounded from what such networks do on an ordinary day, not on their worst. */
export const namedNetworks: ReadonlyMap<string, NetworkProfile> = new Map<string, NetworkProfile>([
  ['good', {}],
  ['3g', { latencyMs: [50, 150], bandwidth: 96_000, cutEverySeconds: 300, halfOpen: 0.2, halfOpenSeconds: 20 }],
  ['edge', { latencyMs: [150, 400], bandwidth: 15_000, cutEverySeconds: 120, halfOpen: 0.3, halfOpenSeconds: 20 }],
  ['satellite', { latencyMs: [270, 330], bandwidth: 60_000 }],
  ['lossy', { latencyMs: [10, 200], cutEverySeconds: 20, halfOpen: 0.3, halfOpenSeconds: 15 }],
  [
    'mobile',
    {
      latencyMs: [30, 120],
      bandwidth: 250_000,
      cutEverySeconds: 90,
      halfOpen: 0.5,
      halfOpenSeconds: 15,
      handOverEverySeconds: 45,
    },
  ],
]);
