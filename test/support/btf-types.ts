/** BTF types that many tests need. */
import type { BtfType } from '../../src/object/btf/index.js';

/** An integer. `encoding`: 1 signed, 2 char, 4 bool; `bits` and `bitOffset`: those of a bit-field in the old style. */
export const intType = (
  name = 'int',
  size = 4,
  encoding = 1,
  bits = size * 8,
  bitOffset = 0,
): BtfType & { kind: 'int' } => ({
  kind: 'int',
  name,
  size,
  encoding,
  signed: (encoding & 1) !== 0,
  char: (encoding & 2) !== 0,
  bool: (encoding & 4) !== 0,
  bits,
  bitOffset,
});
