import { checkClass } from './check-class.ts';
import { checkBroker, checkTables } from './check-files.ts';
import { namePattern } from './fields.ts';
import { orList } from './wording.ts';
import { stagesByDefault, type CheckedFile } from './references.ts';
import { type Findings, stageNames } from './resolve.ts';
import type { Threshold } from './scenario.ts';
import type { StageFile } from './scenario-file.ts';
import type { Problem } from './scenario-error.ts';
import { readCondition } from './threshold.ts';

/** Checks what no single field can say: names, references, files, order. */
export function checkTogether(checked: CheckedFile): { readonly problems: Problem[]; readonly findings: Findings } {
  const problems: Problem[] = [];
  const { file, kinds } = checked;
  const broker = checkBroker(file.broker ?? {}, checked.directory, problems);
  checkNames(kinds, problems);
  for (const [name, entry] of Object.entries(file.fleet)) checkClass(name, entry, checked, problems);
  const tables = checkTables(file, checked.directory, problems);
  if (checked.stages !== undefined) checkStages(checked.stages, problems);
  const thresholds = checkThresholds(checked, problems);
  return { problems, findings: { ...broker, ...thresholds, tables } };
}

function checkNames(kinds: CheckedFile['kinds'], problems: Problem[]): void {
  for (const name of kinds.keys()) {
    if (!namePattern.test(name)) {
      const text = 'a class is named with letters, digits, - and _, and begins with a letter';
      problems.push({ path: ['fleet', name], text, isKey: true });
    }
  }
}

function checkStages(stages: readonly (StageFile | undefined)[], problems: Problem[]): void {
  const names = new Set<string>();
  const nameList = stageNames(stages as readonly StageFile[]);
  for (const [at, stage] of stages.entries()) {
    if (stage === undefined) continue;
    const path = ['stages', at];
    const kinds = Object.keys(stage);
    if (kinds.length !== 1) {
      const found = kinds.length === 0 ? 'nothing' : orList(kinds, 'and');
      problems.push({ path, text: `must be one of ramp, hold, burst, storm and drain, not ${found}` });
      continue;
    }
    if (kinds[0] === 'drain' && at < stages.length - 1) problems.push({ path, text: 'a drain must be the last stage' });
    const name = nameList[at] as string;
    if (names.has(name)) problems.push({ path, text: `is named ${name}, like a stage before it` });
    names.add(name);
  }
  if (stages.every((stage) => stage !== undefined && stage.ramp === undefined)) {
    problems.push({ path: ['stages'], text: 'has no ramp, so that no device is ever switched on' });
  }
}

function checkThresholds(checked: CheckedFile, problems: Problem[]): Pick<Findings, 'thresholds' | 'metricsOff'> {
  const thresholds: Threshold[] = [];
  const metricsOff: string[] = [];
  const stages = stageNames((checked.stages ?? stagesByDefault) as readonly StageFile[]);
  const names = { classes: [...checked.kinds.keys()], stages };
  for (const [metric, condition] of Object.entries(checked.file.thresholds ?? {})) {
    const read = readCondition(metric, condition, names);
    if (read.state === 'wrong') problems.push({ path: ['thresholds', metric], text: read.problem });
    else if (read.state === 'off') metricsOff.push(metric);
    else thresholds.push(read.threshold);
  }
  return { thresholds, metricsOff };
}
