/** A line chart with logarithmic axes as an SVG document: no library, no fonts beside the viewer's own. */

export interface PlotLine {
  readonly name: string;
  /** Above 0; others are left out, as a logarithm has no place for them. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly PlotLine[];
}

const MIN_WIDTH = 960;
/** Pixels that a character of the legend takes at most. */
const CHARACTER = 7.5;
const LEFT = 80;
const TOP = 48;
const PLOT_WIDTH = 560;
const PLOT_HEIGHT = 420;
const BOTTOM = 60;
const LEGEND_LINE = 18;
/** Distinguishable also by those who do not tell red from green (Okabe, Ito). */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#000000', '#8c6d00'];
const DASHES = ['', '6 3', '2 3', '8 3 2 3'];

interface Scale {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

export function plotSvg({ title, xLabel, yLabel, lines }: Plot): string {
  const drawn = lines.map((line) => ({ ...line, points: line.points.filter(([x, y]) => x > 0 && y > 0) }));
  const xs = drawn.flatMap(({ points }) => points.map(([x]) => x));
  const ys = drawn.flatMap(({ points }) => points.map(([, y]) => y));
  const x = scaleOf(xs, 2);
  const y = scaleOf(ys, 10);
  const height = TOP + Math.max(PLOT_HEIGHT + BOTTOM, drawn.length * LEGEND_LINE + 20);
  const longest = Math.max(0, ...drawn.map(({ name }) => name.length));
  const width = Math.max(MIN_WIDTH, Math.ceil(LEFT + PLOT_WIDTH + 70 + longest * CHARACTER));
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    text(LEFT, 26, title, 'start', 'font-size="16" font-weight="bold"'),
    ...gridOf(x, y),
    text(LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + 44, xLabel, 'middle'),
    `<g transform="translate(20 ${TOP + PLOT_HEIGHT / 2}) rotate(-90)">${text(0, 0, yLabel, 'middle')}</g>`,
    ...drawn.flatMap((line, i) => lineOf(line, i, x, y)),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

/** From the power of the base below the least to the one above the most; powers of ten or of four as marks. */
function scaleOf(values: readonly number[], base: number): Scale {
  const least = values.length === 0 ? 1 : Math.min(...values);
  const most = values.length === 0 ? base : Math.max(...values);
  const low = Math.floor(Math.log(least) / Math.log(base) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.log(most) / Math.log(base) - 1e-9));
  const step = Math.max(1, Math.ceil((high - low) / 8));
  const ticks: number[] = [];
  for (let power = low; power <= high; power += step) ticks.push(base ** power);
  return { from: base ** low, to: base ** high, ticks };
}

function share({ from, to }: Scale, value: number): number {
  return Math.log(value / from) / Math.log(to / from);
}

const atX = (scale: Scale, value: number): number => round(LEFT + share(scale, value) * PLOT_WIDTH);
const atY = (scale: Scale, value: number): number => round(TOP + (1 - share(scale, value)) * PLOT_HEIGHT);
const round = (value: number): number => Math.round(value * 10) / 10;

function gridOf(x: Scale, y: Scale): string[] {
  const right = LEFT + PLOT_WIDTH;
  const bottom = TOP + PLOT_HEIGHT;
  const grid = 'stroke="#dddddd" stroke-width="1"';
  return [
    ...x.ticks.flatMap((tick) => {
      const at = atX(x, tick);
      return [
        `<line x1="${at}" y1="${TOP}" x2="${at}" y2="${bottom}" ${grid}/>`,
        text(at, bottom + 18, tick.toLocaleString('en'), 'middle'),
      ];
    }),
    ...y.ticks.flatMap((tick) => {
      const at = atY(y, tick);
      return [
        `<line x1="${LEFT}" y1="${at}" x2="${right}" y2="${at}" ${grid}/>`,
        text(LEFT - 8, at + 4, tick.toLocaleString('en'), 'end'),
      ];
    }),
    `<rect x="${LEFT}" y="${TOP}" width="${PLOT_WIDTH}" height="${PLOT_HEIGHT}" fill="none" stroke="#444444"/>`,
  ];
}

function lineOf({ name, points }: PlotLine, index: number, x: Scale, y: Scale): string[] {
  const colour = COLOURS[index % COLOURS.length]!;
  const dash = DASHES[Math.floor(index / COLOURS.length) % DASHES.length]!;
  const stroke = `stroke="${colour}" stroke-width="2"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`;
  const path = points.map(([px, py]) => `${atX(x, px)},${atY(y, py)}`).join(' ');
  const legendY = TOP + 10 + index * LEGEND_LINE;
  const legendX = LEFT + PLOT_WIDTH + 24;
  return [
    `<polyline points="${path}" fill="none" ${stroke}/>`,
    ...points.map(([px, py]) => `<circle cx="${atX(x, px)}" cy="${atY(y, py)}" r="3" fill="${colour}"/>`),
    `<line x1="${legendX}" y1="${legendY}" x2="${legendX + 28}" y2="${legendY}" ${stroke}/>`,
    text(legendX + 36, legendY + 4, name, 'start'),
  ];
}

function text(x: number, y: number, content: string, anchor: string, more = ''): string {
  const attributes = more === '' ? '' : ` ${more}`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#222222"${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
