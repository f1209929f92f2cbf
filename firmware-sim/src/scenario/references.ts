import type { ClassFile, ScenarioFile, StageFile } from './scenario-file.ts';
import { secondsOf } from './units.ts';
import { didYouMean, orList } from './wording.ts';

/** What a check works on: the parts of a scenario file that are right in themselves. */
export interface CheckedFile {
  readonly file: ScenarioFile;
  /** All classes of the file, the kind undefined where the class is not right in itself. */
  readonly kinds: ReadonlyMap<string, ClassFile['kind'] | undefined>;
  /** All stages of the file, undefined where one is not right in itself. */
  readonly stages: readonly (StageFile | undefined)[] | undefined;
  /** Files are relative to it. */
  readonly directory: string;
}

/** What runs where a scenario names no stages; a drain comes behind. */
export const stagesByDefault: readonly StageFile[] = [{ ramp: '10s' }, { hold: '30s' }];

/** Length of the run in seconds, without a drain at its end; undefined where a stage is not right in itself. */
export function busySeconds(stages: CheckedFile['stages']): number | undefined {
  let sum = 0;
  for (const stage of stages ?? stagesByDefault) {
    if (stage === undefined) return undefined;
    const { drain: _, ...rest } = stage;
    for (const detail of Object.values(rest)) sum += secondsOf(typeof detail === 'object' ? detail.seconds : detail);
  }
  return sum;
}

/** What is said of a class that is referred to and is not there. */
export function unknownClass(name: string, kinds: CheckedFile['kinds']): string {
  const names = [...kinds.keys()];
  return `no class is named ${name}${didYouMean(name, names) || `; there is ${orList(names)}`}`;
}
