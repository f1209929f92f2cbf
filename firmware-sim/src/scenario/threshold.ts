import { metricProblem, metricUnit, type MetricNames } from './metric-names.ts';
import type { Threshold } from './scenario.ts';
import { parseDuration } from './units.ts';

const conditionPattern = /^(<=|>=|==|=|<|>)?\s*(-?\d+(?:\.\d+)?)\s*([A-Za-z/%]*)$/;

/** A condition that was read: what to check, `off` for nothing at all, or what is wrong with it. */
export type ReadCondition =
  | { readonly state: 'on'; readonly threshold: Threshold }
  | { readonly state: 'off' }
  | { readonly state: 'wrong'; readonly problem: string };

/** Reads a line of `thresholds`: `lost: 0`, `delivery.p99: "<= 250 ms"`, `throughput: ">= 1000"`, `late: "off"`. */
export function readCondition(metric: string, condition: number | string, names: MetricNames): ReadCondition {
  const problem = metricProblem(metric, names);
  if (problem !== undefined) return { state: 'wrong', problem };
  if (condition === 'off') return { state: 'off' };
  const match = conditionPattern.exec(String(condition).trim());
  if (match === null) {
    return wrong(`must be a condition such as "<= 250 ms", ">= 1000", 0 or off, not ${JSON.stringify(condition)}`);
  }
  const [, sign, digits, unit] = match;
  const isTime = metricUnit(metric) === 'ms';
  const limit = limitOf(Number(digits), unit as string, isTime);
  if (limit === undefined) {
    return wrong(isTime ? `has the unit ${unit}; times are in ms, s or m` : `is a number without unit, not ${unit}`);
  }
  if (isTime && sign === undefined) return wrong(`must say how to compare, such as "<= ${digits}${unit || ' ms'}"`);
  const test = sign === '==' ? '=' : ((sign ?? '=') as Threshold['test']);
  return { state: 'on', threshold: { metric, test, limit } };
}

function wrong(problem: string): ReadCondition {
  return { state: 'wrong', problem };
}

/** In ms where it is a time. */
function limitOf(value: number, unit: string, isTime: boolean): number | undefined {
  if (unit === '') return value;
  const seconds = isTime ? parseDuration(`${value}${unit}`) : undefined;
  return seconds === undefined ? undefined : Math.round(seconds * 1e6) / 1000;
}
