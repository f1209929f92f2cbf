import type { Random } from '../lib/random.ts';
import type { Metric } from './sparkplug.ts';

const kinds = ['Analog', 'Counter', 'Running'] as const;

interface Channel {
  readonly name: string;
  /** Unique in its node; stands for the name in data. */
  readonly alias: number;
  readonly kind: (typeof kinds)[number];
  value: number;
}

/** A machine behind a Sparkplug node, with channels that are analog, count, or run and stand still. */
export class SparkplugChild {
  readonly name: string;
  readonly #channels: readonly Channel[];
  readonly #random: Random;

  /** @param firstAlias aliases from here on, as many as `channels`, are its own. */
  constructor(name: string, channels: number, firstAlias: number, random: Random) {
    this.name = name;
    this.#random = random;
    this.#channels = Array.from({ length: channels }, (_, at) => {
      const kind = kinds[at % kinds.length] as Channel['kind'];
      return { name: `${kind} ${at + 1}`, alias: firstAlias + at, kind, value: kind === 'Analog' ? 20 : 0 };
    });
  }

  /** All channels by name and alias, as they are now. */
  birth(timestamp: number): Metric[] {
    return this.#channels.map(({ name, alias, kind, value }) => ({ name, ...metric(kind, value, alias, timestamp) }));
  }

  /** All channels by alias, a step on. */
  data(timestamp: number): Metric[] {
    return this.#channels.map((channel) => {
      this.#step(channel);
      return metric(channel.kind, channel.value, channel.alias, timestamp);
    });
  }

  #step(channel: Channel): void {
    switch (channel.kind) {
      case 'Analog':
        channel.value = Math.round((channel.value + this.#random.between(-0.5, 0.5)) * 1000) / 1000;
        return;
      case 'Counter':
        channel.value = (channel.value + 1) % 2 ** 31;
        return;
      case 'Running':
        if (this.#random.chance(0.1)) channel.value = 1 - channel.value;
        return;
    }
  }
}

function metric(kind: Channel['kind'], value: number, alias: number, timestamp: number): Metric {
  switch (kind) {
    case 'Analog':
      return { alias, timestamp, type: 'Double', value };
    case 'Counter':
      return { alias, timestamp, type: 'Int32', value };
    case 'Running':
      return { alias, timestamp, type: 'Boolean', value: value === 1 };
  }
}
