/** An explanation as plain text of at most some forty lines, to stand above the log. */
import type { SourceLine } from './names.js';
import type { ChainStep, Explanation } from './types.js';

const WIDTH = 100;
const MAX_CHAIN = 14;
const MAX_CHAIN_LINES = 26;

function wrap(text: string, first: string, rest: string): string[] {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(/\s+/)) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = rest;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}

function position(source: SourceLine | undefined): string {
  if (source === undefined) return '';
  const file = source.file.slice(source.file.lastIndexOf('/') + 1);
  return `${file}:${source.line}: ${source.text}`;
}

function stepLines(step: ChainStep, previous: ChainStep | undefined): string[] {
  const lines: string[] = [];
  const here = position(step.source);
  const moved = step.subprogram !== previous?.subprogram;
  if (moved && previous !== undefined) lines.push(`  in ${step.subprogram}:`);
  if (here !== '' && (moved || here !== position(previous?.source))) lines.push(`  ; ${here}`);
  const times = step.times > 1 ? ` (${step.times} times on this path, the last:)` : '';
  const head = `  ${String(step.insn).padStart(4)}: ${step.text.padEnd(34)} `;
  lines.push(...wrap(`${times === '' ? '' : `${times.trim()} `}${step.note}`, head, ' '.repeat(10)));
  return lines;
}

/** The first step and the last `count - 1`. */
function someSteps(chain: readonly ChainStep[], count: number): string[] {
  const left = chain.length - count;
  const kept = left > 0 ? [chain[0]!, ...chain.slice(left + 1)] : chain;
  const lines: string[] = [];
  kept.forEach((step, i) => {
    if (i === 1 && left > 0) lines.push(`        … ${left} more step${left === 1 ? '' : 's'} …`);
    lines.push(...stepLines(step, kept[i - 1]));
  });
  return lines;
}

/** As many steps as fit. */
function chainLines(chain: readonly ChainStep[]): string[] {
  let count = MAX_CHAIN;
  let lines = someSteps(chain, count);
  while (lines.length > MAX_CHAIN_LINES && count > 3) lines = someSteps(chain, --count);
  return lines;
}

/** Plain text, lines ended by `\n`. */
export function explanationText(explanation: Explanation): string {
  const { rule, what, where, chain, mend } = explanation;
  const lines = [`${rule.title} [${rule.id}]`, ...wrap(what, '  ', '  ')];
  if (where.insn !== undefined) lines.push(`At insn ${where.insn}: ${where.text}`);
  if (where.source !== undefined) lines.push(`  ; ${position(where.source)}`);
  lines.push(...wrap(rule.text, 'Rule: ', '  '));
  if (chain.length > 1) lines.push('How it came to that:', ...chainLines(chain));
  if (mend.length > 0) lines.push('What usually mends it:');
  for (const advice of mend) lines.push(...wrap(advice, '  - ', '    '));
  return `${lines.join('\n')}\n`;
}
