/**
 * Programs for the explanations' tests: assembly with map references (`r1 = map 0`, `r1 = value 0 + 8`), source lines and
 * the expected rejection beside it.
 */
import { helperId } from '../../../src/abi/helpers.js';
import { MapType } from '../../../src/abi/map-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { assemble } from '../../../src/isa/index.js';
import type { Insn } from '../../../src/isa/insn.js';
import type { VerifyLineInfo, VerifyMap, VerifyRequest } from '../../../src/verifier/index.js';

export interface Case {
  readonly name: string;
  readonly rule: string;
  /** First line of the rejection. */
  readonly message: string;
  readonly program: string;
  /** Default `socket_filter`. */
  readonly type?: number;
  /** Default: hash, array of 48-byte values, read-only array, program array. */
  readonly maps?: readonly VerifyMap[];
  /** Source lines: slot, line, text. */
  readonly lines?: readonly (readonly [slot: number, line: number, text: string])[];
  readonly extra?: Partial<VerifyRequest>;
  /** Changes what the assembler does not write. */
  readonly patch?: (insns: Insn[]) => void;
}

const map = (name: string, type: number, keySize: number, valueSize: number, mapFlags = 0): VerifyMap => ({
  name,
  type,
  keySize,
  valueSize,
  maxEntries: 4,
  mapFlags,
});

/** BPF_F_RDONLY_PROG. */
const READ_ONLY = 0x80;

export const MAPS: readonly VerifyMap[] = [
  map('table', MapType.hash, 8, 48),
  { ...map('array', MapType.array, 4, 48), maxEntries: 1 },
  {
    ...map('constants', MapType.array, 4, 16, READ_ONLY),
    maxEntries: 1,
    frozen: true,
    data: new Uint8Array(16).fill(65),
  },
  map('jumps', MapType.prog_array, 4, 4),
  map('events', MapType.ringbuf, 0, 0),
  map('sockets', MapType.sockmap, 4, 4),
];

/** Immediates that stand for map references until the program is assembled. */
const MARK = 0x7a000000;
const REFERENCE = /(r\d+) = (map|value) (\d+)(?: \+ (\d+))?/g;

function program(text: string): Insn[] {
  const references: { isValue: boolean; map: number; off: number }[] = [];
  const marked = text.replace(REFERENCE, (_, dst: string, kind: string, index: string, off?: string) => {
    references.push({ isValue: kind === 'value', map: Number(index), off: Number(off ?? 0) });
    return `${dst} = ${MARK + references.length - 1} ll`;
  });
  const insns = assemble(marked, { helperId: (name) => helperId(name.replace(/^bpf_/, '')) });
  insns.forEach((insn, slot) => {
    const reference = insn.code === 0x18 ? references[insn.imm - MARK] : undefined;
    if (reference === undefined) return;
    insn.src = reference.isValue ? 2 : 1;
    insn.imm = reference.map;
    insns[slot + 1]!.imm = reference.off;
  });
  return insns;
}

export function requestOf(test: Case): VerifyRequest {
  const insns = program(test.program);
  test.patch?.(insns);
  const lineInfo: VerifyLineInfo[] | undefined = test.lines?.map(([insnOff, line, text]) => ({
    insnOff,
    file: 'src/probe.bpf.c',
    text,
    line,
    column: 5,
  }));
  return {
    insns,
    progType: test.type ?? ProgType.socket_filter,
    license: 'GPL',
    maps: test.maps ?? MAPS,
    ...(lineInfo !== undefined && { lineInfo }),
    ...test.extra,
  };
}
