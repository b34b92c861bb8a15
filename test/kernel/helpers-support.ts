/** What tests of helpers share: kernels with types of their own, programs in assembly, maps. */

import { helperId } from '../../src/abi/helpers.js';
import { MapType, type MapTypeName } from '../../src/abi/map-types.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble, assembleProgram } from '../../src/isa/index.js';
import type { BpfMap, MapAttr } from '../../src/kernel/bpf/map.js';
import type { BpfProg } from '../../src/kernel/bpf/prog.js';
import { Kernel, type KernelOptions } from '../../src/kernel/kernel.js';
import { Btf } from '../../src/object/btf/btf.js';
import { encodeBtf } from '../../src/object/btf/encode.js';
import type { BtfType } from '../../src/object/btf/types.js';
import { int, structOfBytes as struct } from '../object/btf/sample.js';

/** Types of a kernel that has these functions: each is `void name(void)`. */
export function btfOfFunctions(names: readonly string[]): Btf {
  const proto: BtfType = { kind: 'func_proto', name: '', type: 0, params: [] };
  const funcs = names.map((name): BtfType => ({ kind: 'func', name, type: 1, linkage: 0 }));
  return Btf.parse(encodeBtf([proto, ...funcs]));
}

/** Ids in `PROGRAM_BTF`. */
export const Id = {
  INT: 1,
  LONG: 2,
  TIMED: 4,
  WORK: 6,
  NODE: 9,
  LISTED: 12,
  TREED: 13,
  LOCKED: 14,
  COUNTED: 16,
} as const;

/** Types of a program's values and objects. */
export const PROGRAM_BTF = Btf.parse(
  encodeBtf([
    int('int', 4),
    int('long', 8),
    struct('bpf_timer', 16, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
    ]),
    struct('timed', 24, [
      ['count', Id.LONG, 0],
      ['timer', 3, 8],
    ]),
    struct('bpf_wq', 16, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
    ]),
    struct('work', 24, [
      ['count', Id.LONG, 0],
      ['wq', 5, 8],
    ]),
    struct('bpf_list_node', 24, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
      ['c', Id.LONG, 16],
    ]),
    struct('bpf_rb_node', 32, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
      ['c', Id.LONG, 16],
      ['d', Id.LONG, 24],
    ]),
    struct('node', 64, [
      ['key', Id.LONG, 0],
      ['list', 7, 8],
      ['tree', 8, 32],
    ]),
    struct('bpf_spin_lock', 4, [['val', Id.INT, 0]]),
    struct('bpf_refcount', 4, [['val', Id.INT, 0]]),
    struct('listed', 24, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
      ['lock', 10, 16],
    ]),
    struct('treed', 24, [
      ['a', Id.LONG, 0],
      ['b', Id.LONG, 8],
      ['lock', 10, 16],
    ]),
    struct('locked', 16, [
      ['a', Id.LONG, 0],
      ['lock', 10, 8],
    ]),
    int('char', 1),
    struct('counted', 16, [
      ['a', Id.LONG, 0],
      ['ref', 11, 8],
    ]),
  ]),
);

export function makeMap(kernel: Kernel, type: MapTypeName, attr: Partial<MapAttr> = {}): BpfMap {
  return kernel.bpf.mapCreate({
    name: `a_${type}`,
    type: MapType[type],
    keySize: 4,
    valueSize: 8,
    maxEntries: 4,
    mapFlags: 0,
    mapExtra: 0n,
    ...attr,
  });
}

const FUNCTION = /subprog\[([a-z]+)\]/;

/** Puts distances in for the labels in `subprog[label]`, which the assembler takes as numbers. */
function withFunctions(asm: string): string {
  const { labels, lines } = assembleProgram(asm.replace(new RegExp(FUNCTION, 'g'), 'subprog[+0]'), {
    helperId,
  });
  return asm
    .split('\n')
    .map((line, i) => {
      const label = FUNCTION.exec(line)?.[1];
      if (label === undefined) return line;
      const slot = lines.indexOf(i + 1);
      return line.replace(FUNCTION, `subprog[+${labels.get(label)! - slot - 1}]`);
    })
    .join('\n');
}

export interface LoadInput {
  readonly maps?: readonly BpfMap[];
  readonly attachType?: number;
}

export function load(kernel: Kernel, type: ProgTypeName, asm: string, input: LoadInput = {}): BpfProg {
  return kernel.bpf.progLoad(
    {
      name: 'prog',
      section: '',
      type: ProgType[type],
      expectedAttachType: (input.attachType ?? 0) as never,
      progFlags: 0,
      autoload: true,
      insns: assemble(withFunctions(asm), { helperId }),
      subProgs: [],
      funcInfo: [],
      lineInfo: [],
    },
    input.maps ?? [],
    { btf: PROGRAM_BTF },
  );
}

/** A kernel with kernel functions, and how to call them in assembly. */
export function kernelWith(names: readonly string[], options: KernelOptions = {}) {
  const btf = btfOfFunctions(names);
  // The functions have no prototypes, so that no verifier could judge calls of them.
  const kernel = new Kernel({ verify: 'never', ...options, btf });
  const kfunc = (name: string): string => `call kfunc ${btf.findByName(name, 'func')}`;
  return { kernel, kfunc };
}
