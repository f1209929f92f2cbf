import { describe, expect, it } from 'vitest';
import { TopicTemplate } from '../../src/devices/topics.ts';

const values = { prefix: 'sim/1', class: 'trackers', device: 'trackers-7', index: 7 };

describe('a topic template', () => {
  it('fills in the prefix, the class, the device and its number, as often as they come', () => {
    const template = new TopicTemplate('{prefix}/{class}/{device}/{index}/{device}');
    expect(template.expand(values)).toBe('sim/1/trackers/trackers-7/7/trackers-7');
  });

  it('fills in the child where there is one, and leaves it alone where there is none', () => {
    const template = new TopicTemplate('{device}/{child}/t');
    expect(template.expand({ ...values, child: 'c-1' })).toBe('trackers-7/c-1/t');
    expect(template.expand(values)).toBe('trackers-7/{child}/t');
  });

  it('leaves text alone that is no placeholder', () => {
    expect(new TopicTemplate('a/{room}/{/}/#').expand(values)).toBe('a/{room}/{/}/#');
    expect(new TopicTemplate('').expand(values)).toBe('');
  });

  it('does not fill in what a value brings', () => {
    expect(new TopicTemplate('{device}/{index}').expand({ ...values, device: '{index}' })).toBe('{index}/7');
  });

  it('becomes a filter with + for each level that differs between devices', () => {
    const template = new TopicTemplate('{prefix}/{class}/no-{index}/{device}/set');
    expect(template.filter({ prefix: 'sim/1', class: 'valves' })).toBe('sim/1/valves/+/+/set');
  });
});
