import type { Scenario } from '../scenario/scenario.ts';
import { PlainView } from './plain-view.ts';
import type { SeriesPoint } from './report.ts';
import { TerminalView } from './terminal-view.ts';

/** Where a view writes to; standard output, or a fake. */
export interface ViewOutput {
  write(text: string): unknown;
  /** Size in characters; absent where it is no terminal. May change. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** What a view is told once a second. */
export interface LiveProgress {
  readonly point: SeriesPoint;
  readonly stage: string;
  /** Devices switched on. */
  readonly devices: number;
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly inFlight: number;
  /** Faults so far by name, those above 0. */
  readonly faults: Readonly<Record<string, number>>;
  readonly brokerUrl: string;
}

/** What a view knows before the run begins. */
export interface ViewPlan {
  readonly scenarioName: string;
  readonly stages: readonly { readonly kind: string; readonly name: string; readonly seconds: number }[];
  /** In all. */
  readonly devices: number;
}

/** Shows a run while it goes on. */
export interface LiveView {
  show(progress: LiveProgress): void;
  /** Tells people something now: a line, or an event in the frame. */
  say(text: string): void;
  /** Leaves the terminal as it was found; nothing is shown any more. May be called again. */
  close(): void;
}

/** What a view has to know of a scenario. */
export function viewPlanOf(scenario: Pick<Scenario, 'name' | 'stages' | 'fleet'>): ViewPlan {
  const { name, stages, fleet } = scenario;
  return { scenarioName: name, stages, devices: fleet.reduce((all, { count }) => all + count, 0) };
}

/**
 * The view that suits a stream: redrawn in place on a terminal, lines elsewhere. The cursor comes back however the
 * process exits.
 */
export function openLiveView(stream: NodeJS.WriteStream, plan: ViewPlan, hasColour: boolean): LiveView {
  if (!stream.isTTY || process.env['TERM'] === 'dumb') return new PlainView(stream, plan);
  const view = new TerminalView(stream, plan, hasColour);
  const atExit = (): void => view.close();
  process.once('exit', atExit);
  return {
    show: (progress) => view.show(progress),
    say: (text) => view.say(text),
    close() {
      process.removeListener('exit', atExit);
      view.close();
    },
  };
}
