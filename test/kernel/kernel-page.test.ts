/** docs/kernel.md names every knob with its values, and every cost: a knob that is added or changed has to be described. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { KERNEL_RELEASES, type KernelProfile, kernelProfile } from '../../src/kernel/profile.js';
import { DEFAULT_COSTS } from '../../src/kernel/sched/costs.js';

const PAGE = readFileSync('docs/kernel.md', 'utf8');
/** Cells of the table rows whose first cell is a name. */
const ROWS = new Map(
  [...PAGE.matchAll(/^\| `(\w+)` \| (.*?) \| (.*) \|$/gm)].map(
    ([, name, a, b]) => [name!, [a!, b!]] as const,
  ),
);
const KNOBS = Object.keys(kernelProfile('6.18')).filter((key) => key !== 'name' && key !== 'rt');

function shown(value: string | boolean): string {
  return typeof value === 'boolean' ? (value ? 'yes' : 'no') : value;
}

/** Where a knob's value changes from preset to preset. */
function history(knob: keyof KernelProfile, suffix: '' | '-rt'): string {
  const values = KERNEL_RELEASES.map((release) => shown(kernelProfile(release + suffix)[knob]));
  const changes = KERNEL_RELEASES.map((release, i) => `${release}: ${values[i]}`);
  return changes.filter((_, i) => i === 0 || values[i] !== values[i - 1]).join(' · ');
}

describe('docs/kernel.md', () => {
  test.each(KNOBS)('knob %s', (knob) => {
    const [plain, rt] = [
      history(knob as keyof KernelProfile, ''),
      history(knob as keyof KernelProfile, '-rt'),
    ];
    expect(ROWS.get(knob)?.[1]).toBe(plain === rt ? plain : `${plain} / RT ${rt}`);
  });

  test.each(Object.entries(DEFAULT_COSTS))('cost %s', (name, ns) => {
    expect(ROWS.get(name)?.[0]).toBe(`${ns}`);
  });

  test('it names no knob or cost that is not there', () => {
    const known = new Set([...KNOBS, ...Object.keys(DEFAULT_COSTS)]);
    const pauses = ['point', 'spin', 'schedule'];
    expect([...ROWS.keys()].filter((name) => !known.has(name) && !pauses.includes(name))).toEqual([]);
  });
});
