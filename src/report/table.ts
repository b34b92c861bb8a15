/**
 * Plain aligned columns for terminals and logs: no borders, so that output stays easy to cut and grep. Fast
 * enough for the tens of thousands of rows that an object's relocations may have.
 */
import { stripVTControlCharacters } from 'node:util';

export type Align = 'left' | 'right';

const GAP = '  ';

/** Columns that a cell takes: colours take none. */
const widthOf = (cell: string): number => stripVTControlCharacters(cell).length;

/**
 * Rows under a header, columns as wide as their widest cell, two spaces apart, `indent` spaces in front.
 * Cells may carry ANSI colours. Returns lines without trailing blanks and without a final newline.
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  options: { readonly align?: readonly Align[]; readonly indent?: number } = {},
): string {
  const indent = ' '.repeat(options.indent ?? 0);
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    lines.reduce((widest, line) => Math.max(widest, widthOf(line[column] ?? '')), 0),
  );
  const padded = (cell: string, column: number): string => {
    const blanks = ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
    return options.align?.[column] === 'right' ? blanks + cell : cell + blanks;
  };
  return lines.map((line) => (indent + line.map(padded).join(GAP)).trimEnd()).join('\n');
}
