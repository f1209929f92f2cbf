/** What takes the place of `{prefix}`, `{class}`, `{device}`, `{index}` and `{child}` in topics. */
export interface TopicValues {
  readonly prefix: string;
  readonly class: string;
  readonly device: string;
  readonly index: number;
  /** Of gateways' telemetry; `{child}` stays as it is where absent. */
  readonly child?: string;
}

const placeholder = /\{(prefix|class|device|index|child)\}/;

/** A topic name or filter with placeholders, taken apart once for all devices of a class. */
export class TopicTemplate {
  /** Literal text at even places, names of placeholders at odd ones. */
  readonly #parts: readonly string[];
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.#parts = text.split(new RegExp(placeholder, 'g'));
  }

  /** The topic of one device. */
  expand(values: TopicValues): string {
    let topic = this.#parts[0] as string;
    for (let at = 1; at < this.#parts.length; at += 2) {
      const name = this.#parts[at] as keyof TopicValues;
      topic += `${values[name] ?? `{${name}}`}${this.#parts[at + 1]}`;
    }
    return topic;
  }

  /** The narrowest filter that matches the topics of all devices of a class: `+` for each level that names one. */
  filter(values: Pick<TopicValues, 'prefix' | 'class'>): string {
    return this.#text
      .replaceAll('{prefix}', values.prefix)
      .replaceAll('{class}', values.class)
      .split('/')
      .map((level) => (placeholder.test(level) ? '+' : level))
      .join('/');
  }
}
