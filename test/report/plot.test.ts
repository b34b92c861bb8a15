/** Drawings of latencies: well formed, every line and mark inside, text escaped. */
import { describe, expect, test } from '@jest/globals';
import { latencyPlot } from '../../src/report/latency.js';
import { plotSvg } from '../../src/report/plot.js';
import type { LatencyPoint } from '../../src/rfc/latency.js';

const point = (entries: number, irqsoffNs: number, op = 'creation'): LatencyPoint => ({
  map: 'hash',
  op,
  profile: '5.6-rt',
  rt: true,
  entries,
  cpus: 4,
  busy: 1,
  preemptoffNs: 0,
  irqsoffNs,
  heldNs: 0,
  lock: '',
  preemptoffAt: '',
  irqsoffAt: '',
});

/** Opening and closing tags match. */
function wellFormed(svg: string): boolean {
  const open: string[] = [];
  for (const [, close, name, end] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (close === '/') {
      if (open.pop() !== name) return false;
    } else if (end !== '/') open.push(name!);
  }
  return open.length === 0;
}

describe('plotSvg', () => {
  const svg = plotSvg(latencyPlot([point(1000, 5000), point(100, 500), point(10, 0)], 'entries', 'irqsoff'));

  test('is one well-formed document', () => {
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg".*<\/svg>\n$/s);
    expect(wellFormed(svg)).toBe(true);
  });

  test('has a line with its points in order, what is 0 left out', () => {
    const [, points] = /<polyline points="([^"]*)"/.exec(svg)!;
    const xs = points!.split(' ').map((pair) => Number(pair.split(',')[0]));
    const ys = points!.split(' ').map((pair) => Number(pair.split(',')[1]));
    expect(xs).toHaveLength(2);
    expect(xs[0]).toBeLessThan(xs[1]!);
    expect(ys[0]).toBeGreaterThan(ys[1]!);
    expect(svg.match(/<circle/g)).toHaveLength(2);
  });

  test('names lines and axes, escaped', () => {
    expect(svg).toContain('hash: creation (5.6-rt)');
    expect(svg).toContain('longest section without interrupts, ns');
    const odd = plotSvg({
      title: 'a<b',
      xLabel: 'x',
      yLabel: 'y',
      lines: [{ name: 'c & d', points: [[1, 1]] }],
    });
    expect(odd).toContain('a&lt;b');
    expect(odd).toContain('c &amp; d');
    expect(wellFormed(odd)).toBe(true);
  });

  test('a plot of nothing has axes and no line', () => {
    const empty = plotSvg({ title: 't', xLabel: 'x', yLabel: 'y', lines: [] });
    expect(empty).not.toContain('polyline');
    expect(empty).not.toContain('NaN');
    expect(wellFormed(empty)).toBe(true);
  });

  test('operations without such sections have no line', () => {
    const plot = latencyPlot([point(10, 0), point(100, 0), point(10, 7, 'x')], 'entries', 'irqsoff');
    expect(plot.lines.map(({ name }) => name)).toEqual(['hash: x (5.6-rt)']);
  });
});
