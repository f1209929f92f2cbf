import type { Random } from '../lib/random.ts';
import { asciiJson, toAscii } from './ascii-json.ts';
import type { ValueOwner, ValueSource } from './values.ts';

/** A placeholder in a string of a template. */
const placeholder = /\{(counter|time|device|index|random:-?\d+(?:\.\d+)?:-?\d+(?:\.\d+)?|pick:(?:[^{}"\\]|\\.)*)\}/;
/** A string that is nothing but a number's placeholder: it becomes a number of JSON. */
const numberAlone = /^\{(?:counter|time|index|random:-?\d+(?:\.\d+)?:-?\d+(?:\.\d+)?)\}$/;
/** Stands in front of such a string until the quotation marks around it are taken away. */
const mark = '\0';
const marked = /"\\u0000(\{[^{}"]*\})"/g;

/** A part of a message that differs from one to the next. */
type Part =
  | { readonly kind: 'counter' | 'time' | 'device' | 'index' }
  | { readonly kind: 'random'; readonly low: number; readonly high: number; readonly decimals: number }
  | { readonly kind: 'pick'; readonly choices: readonly string[] };

/**
 * A JSON object with placeholders, taken apart once for a class. `{random:low:high}` has as many decimals as are
 * written; without any it is an integer, `high` included. A string that is one number's placeholder and nothing else
 * becomes a number: `"{random:18.0:24.0}"` is sent as `21.3`.
 */
export class TemplateValues {
  readonly #literals: readonly string[];
  readonly #parts: readonly Part[];

  /** @param template a member named `sim` is left out: the stamp has that name. */
  constructor(template: Readonly<Record<string, unknown>>) {
    const { sim: _, ...members } = template;
    const json = JSON.stringify(members, (_key, value: unknown) =>
      typeof value === 'string' && numberAlone.test(value) ? mark + value : value,
    );
    const pieces = toAscii(json).slice(1, -1).replaceAll(marked, '$1').split(new RegExp(placeholder, 'g'));
    this.#literals = pieces.filter((_piece, at) => at % 2 === 0);
    this.#parts = pieces.filter((_piece, at) => at % 2 === 1).map(partOf);
  }

  source(owner: ValueOwner): ValueSource {
    return new TemplateSource(this.#literals, this.#parts, owner);
  }
}

function partOf(text: string): Part {
  const [kind = '', low = '', high = ''] = text.split(':');
  switch (kind) {
    case 'counter':
    case 'time':
    case 'device':
    case 'index':
      return { kind };
    case 'random':
      return {
        kind,
        low: Math.min(Number(low), Number(high)),
        high: Math.max(Number(low), Number(high)),
        decimals: Math.max(decimalsOf(low), decimalsOf(high)),
      };
    default:
      return { kind: 'pick', choices: text.slice('pick:'.length).split('|') };
  }
}

function decimalsOf(number: string): number {
  const point = number.indexOf('.');
  return point === -1 ? 0 : number.length - point - 1;
}

class TemplateSource implements ValueSource {
  readonly #literals: readonly string[];
  readonly #parts: readonly Part[];
  readonly #random: Random;
  readonly #device: string;
  readonly #index: string;
  #counter = 0;

  constructor(literals: readonly string[], parts: readonly Part[], owner: ValueOwner) {
    this.#literals = literals;
    this.#parts = parts;
    this.#random = owner.random;
    this.#device = asciiJson(owner.device).slice(1, -1);
    this.#index = String(owner.index);
  }

  members(at: number): string {
    this.#counter++;
    let text = this.#literals[0] as string;
    for (let place = 0; place < this.#parts.length; place++) {
      text += this.#render(this.#parts[place] as Part, at) + (this.#literals[place + 1] as string);
    }
    return text;
  }

  number(): number {
    return ++this.#counter;
  }

  #render(part: Part, at: number): string {
    switch (part.kind) {
      case 'counter':
        return String(this.#counter);
      case 'time':
        return String(Math.round(at));
      case 'device':
        return this.#device;
      case 'index':
        return this.#index;
      case 'random':
        return part.decimals === 0
          ? String(part.low + this.#random.below(part.high - part.low + 1))
          : this.#random.between(part.low, part.high).toFixed(part.decimals);
      case 'pick':
        return this.#random.pick(part.choices);
    }
  }
}
