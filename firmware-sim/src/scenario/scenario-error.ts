/** A scenario that cannot be used; `problems` are all that were found, each one a sentence with its place. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Keys and indices on the way to a value of a scenario file. */
export type Path = readonly (string | number)[];

/** Something wrong at a path: of the key itself, or of its value. */
export interface Problem {
  readonly path: Path;
  readonly text: string;
  /** True where the key is wrong, not its value. */
  readonly isKey?: boolean;
}

/** `fleet.trackers.telemetry[0].every`. */
export function pathText(path: Path): string {
  return path.map((step, at) => (typeof step === 'number' ? `[${step}]` : `${at === 0 ? '' : '.'}${step}`)).join('');
}
