import type { Comparison } from './comparison.ts';
import type { Seen } from './normal-form.ts';
import { describeStep } from './step.ts';

/** A sequence with all that was seen, for people; what differs is marked. */
export function describeComparison({ seed, steps, trellis, mosquitto, unexplained }: Comparison): string {
  const lines = [`\nseed ${seed}; again with: node test/differential/run.ts --seed ${seed} --runs 1 --trace`];
  for (const [at, step] of steps.entries()) {
    lines.push(`${at}. ${describeStep(step)}`);
    for (const [client, seen] of (trellis[at] ?? []).entries()) {
      const one = describeSeen(seen);
      const other = describeSeen(mosquitto[at]?.[client]);
      if (one === other) {
        if (one !== '') lines.push(`     ${client}: ${one}`);
      } else lines.push(`   * ${client}: Trellis:   ${one}`, `        Mosquitto: ${other}`);
    }
    if (unexplained?.at === at) {
      lines.push(`   unexplained, for client ${unexplained.client}`);
      break;
    }
  }
  return lines.join('\n');
}

function describeSeen(seen: Seen | undefined): string {
  if (seen === undefined) return '';
  return [...seen.answers, ...seen.messages, seen.end].filter((text) => text !== '').join(' | ');
}
