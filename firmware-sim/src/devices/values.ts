import type { Random } from '../lib/random.ts';
import type { ValueModel } from '../scenario/scenario.ts';
import { asciiJson } from './ascii-json.ts';
import { TemplateValues } from './template-values.ts';

/** What a value source knows of its device. */
export interface ValueOwner {
  /** The device's name, or the child's. */
  readonly device: string;
  readonly index: number;
  /** The source's own. */
  readonly random: Random;
}

/** Values of one row of one device, one after the other. */
export interface ValueSource {
  /** The next message's members, as ASCII JSON without braces; of numeric models `"value":` and the number. @param at the device's clock, ms since 1970. */
  members(at: number): string;
  /** The next value as a number, for binary payloads; 0 where the model has none. */
  number(at: number): number;
}

/** A model, prepared once for all devices of a class. */
export interface ValuePlan {
  /** Names of members that its values bring, so that nobody else does. */
  readonly memberNames: ReadonlySet<string>;
  /** True where the values are the whole message, and nothing but the stamp and padding joins them. */
  readonly isWhole: boolean;
  /** True where the values are numbers of at most three decimals, in the member `value` alone. */
  readonly isNumeric: boolean;
  source(owner: ValueOwner): ValueSource;
}

/** Prepares a model. */
export function planValues(model: ValueModel): ValuePlan {
  switch (model.model) {
    case 'constant': {
      const source = new ConstantValues(model.value);
      return planOf(['value'], () => source);
    }
    case 'random-walk':
      return numericPlan(({ random }) => new RandomWalk(model, random));
    case 'sine':
      return numericPlan(({ random }) => new Sine(model, random));
    case 'csv': {
      const rows = csvRows(model.header, model.rows);
      return planOf(model.header, () => new CsvValues(rows));
    }
    case 'template': {
      const plan = new TemplateValues(model.template);
      const memberNames = new Set(Object.keys(model.template));
      return { memberNames, isWhole: true, isNumeric: false, source: (owner) => plan.source(owner) };
    }
  }
}

function planOf(memberNames: readonly string[], source: ValuePlan['source']): ValuePlan {
  return { memberNames: new Set(memberNames), isWhole: false, isNumeric: false, source };
}

function numericPlan(source: ValuePlan['source']): ValuePlan {
  return { ...planOf(['value'], source), isNumeric: true };
}

/** Three decimals are what a sensor tells. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

class ConstantValues implements ValueSource {
  readonly #members: string;
  readonly #number: number;

  constructor(value: number | string) {
    this.#members = `"value":${asciiJson(value)}`;
    this.#number = typeof value === 'number' ? value : 0;
  }

  members(): string {
    return this.#members;
  }

  number(): number {
    return this.#number;
  }
}

class RandomWalk implements ValueSource {
  readonly #model: ValueModel & { readonly model: 'random-walk' };
  readonly #random: Random;
  #value: number;

  constructor(model: ValueModel & { readonly model: 'random-walk' }, random: Random) {
    this.#model = model;
    this.#random = random;
    this.#value = model.start;
  }

  members(): string {
    return `"value":${this.number()}`;
  }

  number(): number {
    const { step, min, max } = this.#model;
    const value = this.#value;
    this.#value = Math.min(max, Math.max(min, value + this.#random.between(-step, step)));
    return rounded(value);
  }
}

class Sine implements ValueSource {
  readonly #model: ValueModel & { readonly model: 'sine' };
  readonly #random: Random;
  /** Devices do not swing as one. */
  readonly #phase: number;

  constructor(model: ValueModel & { readonly model: 'sine' }, random: Random) {
    this.#model = model;
    this.#random = random;
    this.#phase = random.next();
  }

  members(at: number): string {
    return `"value":${this.number(at)}`;
  }

  number(at: number): number {
    const { mean, amplitude, periodSeconds, noise } = this.#model;
    const turns = at / (periodSeconds * 1000) + this.#phase;
    const wave = mean + amplitude * Math.sin(2 * Math.PI * turns);
    return rounded(noise === 0 ? wave : this.#random.normal(wave, noise));
  }
}

interface CsvRow {
  readonly members: string;
  readonly number: number;
}

const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** Rows as members, texts that are numbers as numbers. A column named `sim` is left out: the stamp has that name. */
function csvRows(header: readonly string[], rows: readonly (readonly string[])[]): CsvRow[] {
  return rows.map((row) => {
    const cells = new Map<string, number | string>();
    for (const [column, name] of header.entries()) {
      const text = row[column] ?? '';
      if (name !== 'sim') cells.set(name, jsonNumber.test(text) ? Number(text) : text);
    }
    const number = [...cells.values()].find((cell) => typeof cell === 'number');
    return { members: asciiJson(Object.fromEntries(cells)).slice(1, -1), number: number ?? 0 };
  });
}

class CsvValues implements ValueSource {
  readonly #rows: readonly CsvRow[];
  #next = 0;

  constructor(rows: readonly CsvRow[]) {
    this.#rows = rows;
  }

  members(): string {
    return this.#advance().members;
  }

  number(): number {
    return this.#advance().number;
  }

  #advance(): CsvRow {
    const row = this.#rows[this.#next] ?? { members: '', number: 0 };
    this.#next = this.#next + 1 < this.#rows.length ? this.#next + 1 : 0;
    return row;
  }
}
