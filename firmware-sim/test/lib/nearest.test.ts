import { describe, expect, it } from 'vitest';
import { nearest } from '../../src/lib/nearest.ts';

describe('nearest', () => {
  it.each([
    ['mqqt', 'mqtt'],
    ['MQTT', 'mqtt'],
    ['mqts', 'mqtt'],
    ['keepAliveSecond', 'keepAliveSeconds'],
    ['keepalivesecs', 'keepAliveSeconds'],
    ['w', 'ws'],
  ])('takes %s for %s', (word, meant) => {
    expect(nearest(word, ['ws', 'mqtt', 'keepAliveSeconds'])).toBe(meant);
  });

  it('takes the nearest of several', () => {
    expect(nearest('readRates', ['readRange', 'readRate', 'rate'])).toBe('readRate');
  });

  it('says nothing where nothing is near', () => {
    expect(nearest('ftp', ['mqtt', 'keepAliveSeconds'])).toBeUndefined();
    expect(nearest('x', [])).toBeUndefined();
    expect(nearest('', ['mqtt'])).toBeUndefined();
  });
});
