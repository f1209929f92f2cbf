import { faults } from '../checker/witness.ts';
import type { LiveProgress, LiveView, ViewOutput, ViewPlan } from './live-view.ts';
import { formatClock, formatCount, formatLatency } from './numbers.ts';
import { type Hue, type Paint, cleanText, cutTo, painter, widthOf } from './text.ts';

/** A piece of a line with its colour. */
type Piece = readonly [text: string, hue?: Hue];

/** A line, and how long it is kept when the window gets low: 0 stays to the last. */
interface Line {
  readonly pieces: readonly Piece[];
  readonly rank: number;
}

/** Seconds that sparklines remember. */
const memory = 60;
const eventsKept = 8;

const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
/** Terminals that know synchronized output show the frame at once; others ignore it. */
const beginFrame = '\u001b[?2026h';
const endFrame = '\u001b[?2026l';
const eraseRight = '\u001b[K';
const eraseBelow = '\u001b[J';
const eraseAll = '\u001b[2J\u001b[H';

/** The live view on a terminal: one frame redrawn in place, in one write per second, as large as the window allows. */
export class TerminalView implements LiveView {
  readonly #output: ViewOutput;
  readonly #plan: ViewPlan;
  readonly #paint: Paint;
  readonly #history: { sent: number[]; acknowledged: number[]; delivered: number[]; p99: number[] } = {
    sent: [],
    acknowledged: [],
    delivered: [],
    p99: [],
  };
  readonly #events: Piece[][] = [];
  #totals: { sent: number; acknowledged: number; delivered: number } = { sent: 0, acknowledged: 0, delivered: 0 };
  #last: LiveProgress | undefined;
  #state: 'new' | 'drawn' | 'closed' = 'new';
  #drawnLines = 0;
  #drawnSize = '';

  constructor(output: ViewOutput, plan: ViewPlan, hasColour: boolean) {
    this.#output = output;
    this.#plan = plan;
    this.#paint = painter(hasColour);
  }

  show(progress: LiveProgress): void {
    if (this.#state === 'closed') return;
    this.#remember(progress);
    this.#draw(progress);
  }

  say(text: string): void {
    if (this.#state === 'closed') return;
    const last = this.#last;
    if (last === undefined) this.#output.write(`${cleanText(text)}\r\n`);
    else {
      this.#addEvent(last.elapsedSeconds, text, 'yellow');
      this.#draw(last);
    }
  }

  close(): void {
    if (this.#state === 'drawn') this.#output.write(`\r\n${showCursor}`);
    this.#state = 'closed';
  }

  #draw(progress: LiveProgress): void {
    const columns = Math.max(10, this.#output.columns ?? 80);
    const rows = Math.max(1, this.#output.rows ?? 24);
    // One column stays free: a line that fills the last one leaves the cursor in different places on different terminals.
    const lines = lowered(this.#lines(progress, columns - 1), rows).map((line) => this.#render(line, columns - 1));
    const size = `${columns}x${rows}`;
    let start = hideCursor;
    // What was drawn before the window changed is anywhere now.
    if (this.#state === 'drawn') start = size === this.#drawnSize ? upBy(this.#drawnLines - 1) : eraseAll;
    const frame = lines.map((line) => `${line}${eraseRight}`).join('\r\n');
    this.#output.write(`${beginFrame}${start}${frame}${eraseBelow}${endFrame}`);
    this.#state = 'drawn';
    this.#drawnLines = lines.length;
    this.#drawnSize = size;
  }

  #remember(progress: LiveProgress): void {
    const { point } = progress;
    this.#last = progress;
    for (const name of ['sent', 'acknowledged', 'delivered', 'p99'] as const) {
      const values = this.#history[name];
      values.push(point[name]);
      if (values.length > memory) values.shift();
      if (name !== 'p99') this.#totals[name] += point[name];
    }
    for (const event of point.events) {
      const hue: Hue = event.startsWith('broker down') ? 'red' : event.startsWith('broker up') ? 'green' : 'cyan';
      this.#addEvent(point.second, event, hue);
    }
  }

  #addEvent(seconds: number, text: string, hue: Hue): void {
    const clock: Piece = [`  ${formatClock(seconds).padStart(7)}  `, 'dim'];
    this.#events.push([clock, [cleanText(text), hue]]);
    if (this.#events.length > eventsKept) this.#events.shift();
  }

  #render(line: Line, columns: number): string {
    let left = columns;
    let text = '';
    for (const [piece, hue] of line.pieces) {
      const cut = cutTo(piece, left);
      left -= widthOf(cut);
      text += hue === undefined || cut === '' ? cut : this.#paint(hue, cut);
    }
    return text;
  }

  #lines(progress: LiveProgress, columns: number): Line[] {
    const empty: Line = { pieces: [], rank: 9 };
    const events = this.#events.map((pieces, at): Line => ({ pieces, rank: 8 + (this.#events.length - at) / 100 }));
    return [
      this.#title(progress, columns),
      empty,
      ...this.#progressLines(progress, columns),
      empty,
      ...this.#rateLines(columns),
      empty,
      this.#latencyLine(progress, columns),
      ...connectionLines(progress, this.#plan.devices),
      empty,
      ...faultLines(progress, columns),
      empty,
      ...events,
    ];
  }

  #title({ brokerUrl }: LiveProgress, columns: number): Line {
    const name = cleanText(this.#plan.scenarioName);
    const left = ` firmware-sim  ${name}`;
    const room = columns - widthOf(left) - 2;
    const url = cutTo(cleanText(brokerUrl), Math.max(0, room));
    const gap = ' '.repeat(Math.max(2, columns - widthOf(left) - widthOf(url)));
    return { pieces: [[' firmware-sim', 'dim'], [`  ${name}`, 'bold'], [gap], [url, 'cyan']], rank: 1 };
  }

  /** A bar over the whole run, and below it the stages where they begin. */
  #progressLines({ elapsedSeconds, totalSeconds, stage }: LiveProgress, columns: number): Line[] {
    const part = totalSeconds > 0 ? Math.min(1, elapsedSeconds / totalSeconds) : 0;
    // A drain is over as soon as everything has arrived.
    const isDrain = this.#plan.stages.some(({ kind, name }) => kind === 'drain' && name === stage);
    const left = `${isDrain ? '≤ ' : '  '}${formatClock(totalSeconds - elapsedSeconds)} left`;
    const text = ` ${String(Math.floor(part * 100)).padStart(3)} % ${left}`;
    const width = Math.max(5, columns - text.length - 3);
    const done = Math.round(part * width);
    const bar: Piece[] = [[' '], ['█'.repeat(done), 'green'], ['░'.repeat(width - done), 'dim'], [text]];
    const labels: Piece[] = [[' ']];
    const sum = this.#plan.stages.reduce((all, { seconds }) => all + seconds, 0);
    let from = 0;
    for (const { name, seconds } of this.#plan.stages) {
      const to = from + seconds;
      const room = Math.round((to / sum) * width) - Math.round((from / sum) * width);
      const label = cutTo(cleanText(name), Math.max(0, room - 1));
      labels.push([label, name === stage ? 'bold' : 'dim'], [' '.repeat(Math.max(0, room - widthOf(label)))]);
      from = to;
    }
    return [
      {
        pieces: [
          [' stage ', 'dim'],
          [cleanText(stage), 'bold'],
        ],
        rank: 3,
      },
      { pieces: bar, rank: 2 },
      { pieces: labels, rank: 6 },
    ];
  }

  #rateLines(columns: number): Line[] {
    const names = ['sent', 'acknowledged', 'delivered'] as const;
    const hues: Record<(typeof names)[number], Hue> = { sent: 'blue', acknowledged: 'yellow', delivered: 'green' };
    return names.map((name) => {
      const values = this.#history[name];
      const total = formatCount(this.#totals[name]).padStart(13);
      const rate = `${formatCount(values.at(-1) ?? 0).padStart(10)} /s  `;
      const spark = sparkline(values, Math.min(memory, Math.max(0, columns - 50)));
      return {
        pieces: [[` ${name.padEnd(13)}`], [rate, 'bold'], [spark, hues[name]], [`${total} in all`, 'dim']],
        rank: 2,
      };
    });
  }

  #latencyLine({ point }: LiveProgress, columns: number): Line {
    // Latencies differ by orders of magnitude: one late message would press all others to the floor.
    const heights = this.#history.p99.map((ms) => Math.log1p(ms));
    const spark = sparkline(heights, Math.max(0, Math.min(memory, columns - 62)));
    const value = (ms: number): Piece => [formatLatency(ms).padStart(9), 'bold'];
    const names: Piece[] = [[' latency      p50 '], value(point.p50), ['   p99 '], value(point.p99)];
    return { pieces: [...names, ['   max '], value(point.max), ['  '], [spark, 'magenta']], rank: 2 };
  }
}

function connectionLines({ point, devices, inFlight }: LiveProgress, planned: number): Line[] {
  const isShort = point.connected < devices;
  const hue: Hue = !isShort ? 'bold' : point.connected === 0 ? 'red' : 'yellow';
  const connected: Piece = [formatCount(point.connected).padStart(10), hue];
  const of: Piece = [` of ${formatCount(devices)}`.padEnd(10)];
  const rates: Piece = [`${formatCount(point.connects)} connects/s   ${formatCount(point.disconnects)} disconnects/s`];
  const plan: Piece = devices < planned ? [`   (${formatCount(planned)} planned)`, 'dim'] : [''];
  const waiting: Piece = [`          outstanding ${formatCount(point.outstanding)}`];
  return [
    { pieces: [[' connected    '], connected, of, rates, plan], rank: 3 },
    { pieces: [[' in flight    '], [formatCount(inFlight).padStart(10), 'bold'], waiting], rank: 4 },
  ];
}

/** All faults by name, wrapped; those of 0 in green. Lines that tell of a fault stay when the window gets low. */
function faultLines(progress: LiveProgress, columns: number): Line[] {
  const lines: Piece[][] = [[[' faults       ']]];
  let width = 14;
  for (const name of faults) {
    const count = progress.faults[name] ?? 0;
    const text = `${name} ${formatCount(count)}`;
    if (width + text.length > columns && width > 14) {
      lines.push([[' '.repeat(14)]]);
      width = 14;
    }
    (lines.at(-1) as Piece[]).push([text, count === 0 ? 'green' : 'red'], ['   ']);
    width += text.length + 3;
  }
  return lines.map((pieces) => ({ pieces, rank: pieces.some(([, hue]) => hue === 'red') ? 0 : 5 }));
}

/** The last `width` values as bars, 0 to the highest of them. */
function sparkline(values: readonly number[], width: number): string {
  const shown = width > 0 ? values.slice(-width) : [];
  const highest = Math.max(...shown, Number.MIN_VALUE);
  return shown
    .map((value) => '▁▂▃▄▅▆▇█'[Math.round((value / highest) * 7)] as string)
    .join('')
    .padStart(width);
}

/** As many lines as fit, the least needed left out first. */
function lowered(lines: readonly Line[], rows: number): Line[] {
  const surplus = lines.length - rows;
  if (surplus <= 0) return [...lines];
  const byRank = lines.map((line, at) => ({ at, rank: line.rank })).sort((a, b) => b.rank - a.rank || b.at - a.at);
  const dropped = new Set(byRank.slice(0, surplus).map(({ at }) => at));
  return lines.filter((_line, at) => !dropped.has(at));
}

function upBy(lines: number): string {
  return lines > 0 ? `\r\u001b[${lines}A` : '\r';
}
