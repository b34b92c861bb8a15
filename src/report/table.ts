/** Plain aligned columns for terminals and logs: no borders, so that output stays easy to cut and grep. */
import Table from 'cli-table3';

export type Align = 'left' | 'right';

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/**
 * Rows under a header, columns as wide as their widest cell, two spaces apart, `indent` spaces in front.
 * Cells may carry ANSI colours. Returns lines without trailing blanks and without a final newline.
 */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  options: { readonly align?: readonly Align[]; readonly indent?: number } = {},
): string {
  const out = new Table({
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colAligns: header.map((_, column) => options.align?.[column] ?? 'left'),
  });
  out.push([...header], ...rows.map((row) => [...row]));
  const indent = ' '.repeat(options.indent ?? 0);
  return out
    .toString()
    .split('\n')
    .map((line) => (indent + line).trimEnd())
    .join('\n');
}
