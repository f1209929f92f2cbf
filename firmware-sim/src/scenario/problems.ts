import type { z } from 'zod';
import type { Path, Problem } from './scenario-error.ts';

type Issue = z.core.$ZodIssue;

/** What Zod found, as problems with sentences of ours; the schemas word them, see fields.ts. */
export function problemsOf(issues: readonly Issue[], data: unknown): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  // Unions hold the issues of their branches: a list to work off, as deep as the schema at most.
  const open = issues.map((issue) => ({ issue, path: issue.path as Path }));
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const { issue, path } = next;
    const inner = issue.code === 'invalid_union' ? innerIssues(issue.errors, at(data, path)) : undefined;
    if (inner !== undefined) {
      open.unshift(...inner.map((one) => ({ issue: one, path: [...path, ...(one.path as Path)] })));
      continue;
    }
    for (const problem of sentences(issue, path)) {
      const key = `${problem.path.join('\0')}\0${problem.text}`;
      if (!seen.has(key)) problems.push(problem);
      seen.add(key);
    }
  }
  return problems;
}

function sentences(issue: Issue, path: Path): Problem[] {
  if (issue.code !== 'unrecognized_keys') return [{ path, text: issue.message }];
  const texts = issue.message.split('\n');
  return issue.keys.map((key, index) => ({ path: [...path, key], text: texts[index] as string, isKey: true }));
}

/** The issues of the one branch that was meant, going by the kind of the value; undefined where none was. */
function innerIssues(branches: readonly (readonly Issue[])[], value: unknown): readonly Issue[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const meant = branches.filter(
    (issues) =>
      issues.length > 0 && issues.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys'),
  );
  return meant.length === 1 ? meant[0] : undefined;
}

/** The value at a path of parsed data. */
function at(data: unknown, path: Path): unknown {
  let value = data;
  for (const step of path) value = (value as Record<string | number, unknown> | undefined)?.[step];
  return value;
}
