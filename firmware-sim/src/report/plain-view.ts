import type { LiveProgress, LiveView, ViewOutput, ViewPlan } from './live-view.ts';
import { formatClock, formatCount, formatLatency } from './numbers.ts';
import { cleanText } from './text.ts';

/** Between two lines, s of the run. */
const everySeconds = 5;

/** The live view where there is no terminal: a line every five seconds, and one for each event when it happens. */
export class PlainView implements LiveView {
  readonly #output: ViewOutput;
  readonly #plan: ViewPlan;
  #hasBegun = false;
  #isClosed = false;
  #nextAt = 0;

  constructor(output: ViewOutput, plan: ViewPlan) {
    this.#output = output;
    this.#plan = plan;
  }

  show(progress: LiveProgress): void {
    if (this.#isClosed) return;
    if (!this.#hasBegun) this.#begin(progress);
    const { point, elapsedSeconds } = progress;
    for (const event of point.events) this.#line(`${formatClock(point.second)}  ${event}`);
    if (elapsedSeconds < this.#nextAt) return;
    this.#nextAt = (Math.floor(elapsedSeconds / everySeconds) + 1) * everySeconds;
    this.#line(figuresLine(progress));
  }

  say(text: string): void {
    if (!this.#isClosed) this.#line(text);
  }

  close(): void {
    this.#isClosed = true;
  }

  #begin({ brokerUrl, totalSeconds }: LiveProgress): void {
    this.#hasBegun = true;
    const { scenarioName, devices } = this.#plan;
    this.#line(`${scenarioName}: ${formatCount(devices)} devices, ${formatClock(totalSeconds)}, ${brokerUrl}`);
  }

  #line(text: string): void {
    this.#output.write(`${cleanText(text)}\n`);
  }
}

function figuresLine({ point, stage, elapsedSeconds, faults, inFlight }: LiveProgress): string {
  const found = Object.entries(faults).map(([name, count]) => `${name} ${formatCount(count)}`);
  return [
    formatClock(elapsedSeconds),
    stage,
    `connected ${formatCount(point.connected)}`,
    `sent ${formatCount(point.sent)}/s`,
    `acked ${formatCount(point.acknowledged)}/s`,
    `delivered ${formatCount(point.delivered)}/s`,
    `p50 ${formatLatency(point.p50)}`,
    `p99 ${formatLatency(point.p99)}`,
    `in flight ${formatCount(inFlight)}`,
    `outstanding ${formatCount(point.outstanding)}`,
    found.length === 0 ? 'no faults' : `FAULTS ${found.join(', ')}`,
  ].join('  ');
}
