/**
 * THE opcode table: one row per instruction of RFC 9669 and of what Linux 6.18 adds. Decoder checks,
 * encoder, disassembler, assembler, the engine's translator and the verifier all go through it.
 * A row is an opcode byte plus what else tells it from its siblings (`off` for signed division and
 * sign-extending moves, `imm` for atomics and byte swaps, `src` for pseudo sources). Values of fields
 * that a row fixes are reserved-field rules: the instruction is well formed only with exactly those.
 */
import * as C from './constants.js';
import type { Insn } from './insn.js';

export type InsnClass = 'ld' | 'ldx' | 'st' | 'stx' | 'alu' | 'alu64' | 'jmp' | 'jmp32';
export type CpuVersion = 1 | 2 | 3 | 4;
/** RFC 9669 section 2.4; `linux` holds what only Linux has. */
export type ConformanceGroup =
  | 'base32'
  | 'base64'
  | 'divmul32'
  | 'divmul64'
  | 'atomic32'
  | 'atomic64'
  | 'packet'
  | 'linux';

export type AluOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'sdiv'
  | 'or'
  | 'and'
  | 'lsh'
  | 'rsh'
  | 'mod'
  | 'smod'
  | 'xor'
  | 'mov'
  | 'arsh';
export type EndOp = 'le' | 'be' | 'bswap';
export type JumpOp =
  | 'jeq'
  | 'jgt'
  | 'jge'
  | 'jset'
  | 'jne'
  | 'jsgt'
  | 'jsge'
  | 'jlt'
  | 'jle'
  | 'jslt'
  | 'jsle';
export type AtomicOp = 'add' | 'or' | 'and' | 'xor' | 'xchg' | 'cmpxchg';
/** What the 64-bit immediate stands for. */
export type Imm64Kind = 'value' | 'map_fd' | 'map_value' | 'btf_id' | 'func' | 'map_idx' | 'map_idx_value';
export type CallKind = 'helper' | 'local' | 'kfunc';

/** How a register field is used, or the only value it may have. */
export type RegRule = 'read' | 'write' | 'readwrite' | number;
/**
 * `mem`: signed displacement in bytes; `jump`: signed, in slots from the next instruction; `fd`: index
 * into the program's fd array; `ignored`: unused, must be zero by RFC 9669, not looked at by Linux 6.18.
 */
export type OffRule = 'mem' | 'jump' | 'fd' | 'ignored' | number;
/**
 * `value`: sign-extended operand; `shift`: 0 to width−1; `divisor`: not 0; `skb`: packet offset;
 * `jump`: signed, in slots from the next instruction; `id`: helper, BTF id, map or the like; a list: one of these.
 */
export type ImmRule = 'value' | 'shift' | 'divisor' | 'skb' | 'jump' | 'id' | number | readonly number[];

interface RowBase {
  /** Index in `OPCODES`: dense, so that per-instruction tables can be arrays. */
  readonly id: number;
  /** Unique name, `op` and width and operand: `add64_imm`, `ldx_u8`, `atomic_fetch_add32`. */
  readonly name: string;
  readonly code: number;
  readonly cls: InsnClass;
  readonly cpu: CpuVersion;
  readonly group: ConformanceGroup;
  /** False for what LLVM or later kernels know and Linux 6.18 refuses as an unknown opcode. */
  readonly inLinux: boolean;
  readonly dst: RegRule;
  readonly src: RegRule;
  readonly off: OffRule;
  readonly imm: ImmRule;
}

/** What a row does. `width` is in bits: of the operation, or of the memory accessed. */
export type OpcodeShape =
  | { readonly form: 'alu'; readonly op: AluOp; readonly width: 32 | 64; readonly operand: 'imm' | 'reg' }
  | { readonly form: 'movsx'; readonly width: 32 | 64; readonly from: 8 | 16 | 32 }
  | { readonly form: 'neg'; readonly width: 32 | 64 }
  | { readonly form: 'end'; readonly op: EndOp; readonly width: 16 | 32 | 64 }
  | { readonly form: 'addr_space_cast' }
  | { readonly form: 'ldx'; readonly width: 8 | 16 | 32 | 64; readonly signed: boolean }
  | { readonly form: 'st'; readonly width: 8 | 16 | 32 | 64 }
  | { readonly form: 'stx'; readonly width: 8 | 16 | 32 | 64 }
  | { readonly form: 'atomic'; readonly op: AtomicOp; readonly fetch: boolean; readonly width: 32 | 64 }
  | { readonly form: 'load_acquire'; readonly width: 8 | 16 | 32 | 64 }
  | { readonly form: 'store_release'; readonly width: 8 | 16 | 32 | 64 }
  | { readonly form: 'ld_imm64'; readonly kind: Imm64Kind; readonly nextImm: 'value' | 'id' | 'ignored' | 0 }
  | { readonly form: 'ld_abs'; readonly width: 8 | 16 | 32 }
  | { readonly form: 'ld_ind'; readonly width: 8 | 16 | 32 }
  | { readonly form: 'ja' }
  | { readonly form: 'gotol' }
  | { readonly form: 'gotox' }
  | { readonly form: 'may_goto' }
  | { readonly form: 'jump'; readonly op: JumpOp; readonly width: 32 | 64; readonly operand: 'imm' | 'reg' }
  | { readonly form: 'call'; readonly kind: CallKind }
  | { readonly form: 'callx' }
  | { readonly form: 'exit' };

export type OpcodeForm = OpcodeShape['form'];
export type OpcodeRow = RowBase & OpcodeShape;
/** The row type of one form, e.g. `RowOf<'alu'>`. */
export type RowOf<F extends OpcodeForm> = Extract<OpcodeRow, { readonly form: F }>;

type Fields = Partial<Pick<RowBase, 'dst' | 'src' | 'off' | 'imm' | 'inLinux' | 'group'>>;

const CLASS_NAMES: readonly InsnClass[] = ['ld', 'ldx', 'st', 'stx', 'alu', 'jmp', 'jmp32', 'alu64'];
const rows: OpcodeRow[] = [];

function row(name: string, code: number, cpu: CpuVersion, shape: OpcodeShape, fields: Fields): void {
  const cls = CLASS_NAMES[C.bpfClass(code)]!;
  const base: RowBase = {
    id: rows.length,
    name,
    code,
    cls,
    cpu,
    group: 'base64',
    inLinux: true,
    dst: 0,
    src: 0,
    off: 0,
    imm: 0,
    ...fields,
  };
  rows.push({ ...base, ...shape });
}

/** [operation, opcode bits, `off` that selects it, cpu]; signed forms share the unsigned form's opcode. */
const ALU_OPS: readonly (readonly [AluOp, number, number, CpuVersion])[] = [
  ['add', C.BPF_ADD, 0, 1],
  ['sub', C.BPF_SUB, 0, 1],
  ['mul', C.BPF_MUL, 0, 1],
  ['div', C.BPF_DIV, 0, 1],
  ['sdiv', C.BPF_DIV, 1, 4],
  ['or', C.BPF_OR, 0, 1],
  ['and', C.BPF_AND, 0, 1],
  ['lsh', C.BPF_LSH, 0, 1],
  ['rsh', C.BPF_RSH, 0, 1],
  ['mod', C.BPF_MOD, 0, 1],
  ['smod', C.BPF_MOD, 1, 4],
  ['xor', C.BPF_XOR, 0, 1],
  ['mov', C.BPF_MOV, 0, 1],
  ['arsh', C.BPF_ARSH, 0, 1],
];
const DIV_MUL: readonly AluOp[] = ['mul', 'div', 'sdiv', 'mod', 'smod'];

function aluImmRule(op: AluOp): ImmRule {
  if (op === 'lsh' || op === 'rsh' || op === 'arsh') return 'shift';
  return op !== 'mul' && DIV_MUL.includes(op) ? 'divisor' : 'value';
}

function defineAlu(width: 32 | 64): void {
  const cls = width === 32 ? C.BPF_ALU : C.BPF_ALU64;
  const base = `base${width}` as const;
  for (const [op, bits, off, cpu] of ALU_OPS) {
    const group = DIV_MUL.includes(op) ? (`divmul${width}` as const) : base;
    const dst: RegRule = op === 'mov' ? 'write' : 'readwrite';
    const shape = { form: 'alu', op, width } as const;
    const imm = aluImmRule(op);
    row(`${op}${width}_imm`, cls | bits, cpu, { ...shape, operand: 'imm' }, { group, dst, off, imm });
    const fields: Fields = { group, dst, off, src: 'read' };
    row(`${op}${width}_reg`, cls | bits | C.BPF_X, cpu, { ...shape, operand: 'reg' }, fields);
  }
  for (const from of [8, 16, 32] as const) {
    if (from === width) continue;
    const fields: Fields = { group: base, dst: 'write', src: 'read', off: from };
    row(`movsx${from}_${width}`, cls | C.BPF_MOV | C.BPF_X, 4, { form: 'movsx', width, from }, fields);
  }
  row(`neg${width}`, cls | C.BPF_NEG, 1, { form: 'neg', width }, { group: base, dst: 'readwrite' });
}

function defineEnd(op: EndOp, code: number, cpu: CpuVersion): void {
  for (const width of [16, 32, 64] as const) {
    const group = width === 64 ? 'base64' : 'base32';
    row(`${op}${width}`, code, cpu, { form: 'end', op, width }, { group, dst: 'readwrite', imm: width });
  }
}

const SIZES = [
  [8, C.BPF_B],
  [16, C.BPF_H],
  [32, C.BPF_W],
  [64, C.BPF_DW],
] as const;

function defineMemory(): void {
  for (const [width, size] of SIZES) {
    const group = width === 64 ? 'base64' : 'base32';
    const load: Fields = { group, dst: 'write', src: 'read', off: 'mem' };
    row(`ldx_u${width}`, C.BPF_LDX | C.BPF_MEM | size, 1, { form: 'ldx', width, signed: false }, load);
    if (width !== 64) {
      const sx = { ...load, group: 'base64' } as const;
      row(`ldx_s${width}`, C.BPF_LDX | C.BPF_MEMSX | size, 4, { form: 'ldx', width, signed: true }, sx);
    }
    const st: Fields = { group, dst: 'read', off: 'mem', imm: 'value' };
    row(`st${width}`, C.BPF_ST | C.BPF_MEM | size, 1, { form: 'st', width }, st);
    const stx: Fields = { group, dst: 'read', src: 'read', off: 'mem' };
    row(`stx${width}`, C.BPF_STX | C.BPF_MEM | size, 1, { form: 'stx', width }, stx);
  }
}

const ATOMIC_OPS: readonly (readonly [AtomicOp, number])[] = [
  ['add', C.BPF_ADD],
  ['or', C.BPF_OR],
  ['and', C.BPF_AND],
  ['xor', C.BPF_XOR],
];

function defineAtomics(): void {
  for (const [width, size] of SIZES) {
    const code = C.BPF_STX | C.BPF_ATOMIC | size;
    if (width === 32 || width === 64) {
      const group = `atomic${width}` as const;
      const fields: Fields = { group, dst: 'read', off: 'mem' };
      const shape = { form: 'atomic', width } as const;
      for (const [op, imm] of ATOMIC_OPS) {
        const plain: Fields = { ...fields, src: 'read', imm };
        row(`atomic_${op}${width}`, code, op === 'add' ? 1 : 3, { ...shape, op, fetch: false }, plain);
        const fetching: Fields = { ...fields, src: 'readwrite', imm: imm | C.BPF_FETCH };
        row(`atomic_fetch_${op}${width}`, code, 3, { ...shape, op, fetch: true }, fetching);
      }
      const xchg: Fields = { ...fields, src: 'readwrite', imm: C.BPF_XCHG };
      row(`atomic_xchg${width}`, code, 3, { ...shape, op: 'xchg', fetch: true }, xchg);
      const cmpxchg: Fields = { ...fields, src: 'read', imm: C.BPF_CMPXCHG };
      row(`atomic_cmpxchg${width}`, code, 3, { ...shape, op: 'cmpxchg', fetch: true }, cmpxchg);
    }
    const acquire: Fields = { group: 'linux', dst: 'write', src: 'read', off: 'mem', imm: C.BPF_LOAD_ACQ };
    row(`load_acquire${width}`, code, 4, { form: 'load_acquire', width }, acquire);
    const release: Fields = { group: 'linux', dst: 'read', src: 'read', off: 'mem', imm: C.BPF_STORE_REL };
    row(`store_release${width}`, code, 4, { form: 'store_release', width }, release);
  }
}

function defineLoadImm(): void {
  const kinds: readonly (readonly [Imm64Kind, number, RowOf<'ld_imm64'>['nextImm']])[] = [
    ['value', 0, 'value'],
    ['map_fd', C.BPF_PSEUDO_MAP_FD, 0],
    ['map_value', C.BPF_PSEUDO_MAP_VALUE, 'value'],
    ['btf_id', C.BPF_PSEUDO_BTF_ID, 'id'],
    ['func', C.BPF_PSEUDO_FUNC, 'ignored'],
    ['map_idx', C.BPF_PSEUDO_MAP_IDX, 0],
    ['map_idx_value', C.BPF_PSEUDO_MAP_IDX_VALUE, 'value'],
  ];
  for (const [kind, src, nextImm] of kinds) {
    const fields: Fields = { dst: 'write', src, imm: kind === 'value' ? 'value' : 'id' };
    row(`ld_imm64_${kind}`, C.LD_IMM64, 1, { form: 'ld_imm64', kind, nextImm }, fields);
  }
  for (const [width, size] of SIZES) {
    if (width === 64) continue;
    const packet: Fields = { group: 'packet', imm: 'skb' };
    row(`ld_abs${width}`, C.BPF_LD | C.BPF_ABS | size, 1, { form: 'ld_abs', width }, packet);
    const indirect: Fields = { ...packet, src: 'read' };
    row(`ld_ind${width}`, C.BPF_LD | C.BPF_IND | size, 1, { form: 'ld_ind', width }, indirect);
  }
}

const JUMP_OPS: readonly (readonly [JumpOp, number, CpuVersion])[] = [
  ['jeq', C.BPF_JEQ, 1],
  ['jgt', C.BPF_JGT, 1],
  ['jge', C.BPF_JGE, 1],
  ['jset', C.BPF_JSET, 1],
  ['jne', C.BPF_JNE, 1],
  ['jsgt', C.BPF_JSGT, 1],
  ['jsge', C.BPF_JSGE, 1],
  ['jlt', C.BPF_JLT, 2],
  ['jle', C.BPF_JLE, 2],
  ['jslt', C.BPF_JSLT, 2],
  ['jsle', C.BPF_JSLE, 2],
];

function defineJumps(): void {
  row('ja', C.BPF_JMP | C.BPF_JA, 1, { form: 'ja' }, { group: 'base32', off: 'jump' });
  row('gotol', C.BPF_JMP32 | C.BPF_JA, 4, { form: 'gotol' }, { group: 'base32', imm: 'jump' });
  row(
    'gotox',
    C.BPF_JMP | C.BPF_JA | C.BPF_X,
    4,
    { form: 'gotox' },
    { group: 'linux', inLinux: false, dst: 'read' },
  );
  row(
    'may_goto',
    C.BPF_JMP | C.BPF_JCOND,
    4,
    { form: 'may_goto' },
    { group: 'linux', src: C.BPF_MAY_GOTO, off: 'jump' },
  );
  for (const width of [64, 32] as const) {
    const cls = width === 64 ? C.BPF_JMP : C.BPF_JMP32;
    const group = `base${width}` as const;
    for (const [op, bits, since] of JUMP_OPS) {
      const cpu = width === 32 ? 3 : since;
      const shape = { form: 'jump', op, width } as const;
      const fields: Fields = { group, dst: 'read', off: 'jump' };
      row(`${op}${width}_imm`, cls | bits, cpu, { ...shape, operand: 'imm' }, { ...fields, imm: 'value' });
      row(
        `${op}${width}_reg`,
        cls | bits | C.BPF_X,
        cpu,
        { ...shape, operand: 'reg' },
        { ...fields, src: 'read' },
      );
    }
  }
  const call = C.BPF_JMP | C.BPF_CALL;
  row('call_helper', call, 1, { form: 'call', kind: 'helper' }, { group: 'base32', imm: 'id' });
  row(
    'call_local',
    call,
    1,
    { form: 'call', kind: 'local' },
    { group: 'base32', src: C.BPF_PSEUDO_CALL, imm: 'jump' },
  );
  row(
    'call_kfunc',
    call,
    1,
    { form: 'call', kind: 'kfunc' },
    { src: C.BPF_PSEUDO_KFUNC_CALL, off: 'fd', imm: 'id' },
  );
  row('callx', call | C.BPF_X, 1, { form: 'callx' }, { group: 'linux', inLinux: false, dst: 'read' });
  row('exit', C.BPF_JMP | C.BPF_EXIT, 1, { form: 'exit' }, { group: 'base32', off: 'ignored' });
}

defineAlu(32);
defineAlu(64);
const castFields: Fields = {
  group: 'linux',
  dst: 'write',
  src: 'read',
  off: C.BPF_ADDR_SPACE_CAST,
  imm: [1, 0x10000],
};
row('addr_space_cast', C.BPF_ALU64 | C.BPF_MOV | C.BPF_X, 4, { form: 'addr_space_cast' }, castFields);
defineEnd('le', C.BPF_ALU | C.BPF_END | C.BPF_TO_LE, 1);
defineEnd('be', C.BPF_ALU | C.BPF_END | C.BPF_TO_BE, 1);
defineEnd('bswap', C.BPF_ALU64 | C.BPF_END | C.BPF_TO_LE, 4);
defineMemory();
defineAtomics();
defineLoadImm();
defineJumps();

/** Every instruction, in the order of `id`. */
export const OPCODES: readonly OpcodeRow[] = rows;

/** Which field tells rows with the same opcode byte apart. */
export type Discriminator = 'src' | 'off' | 'imm';

interface CodeEntry {
  readonly rows: readonly OpcodeRow[];
  readonly by: Discriminator | undefined;
}

const BY_CODE: readonly (CodeEntry | undefined)[] = indexByCode();
const BY_NAME: ReadonlyMap<string, OpcodeRow> = new Map(rows.map((r) => [r.name, r]));

function indexByCode(): (CodeEntry | undefined)[] {
  const index: (CodeEntry | undefined)[] = new Array(256).fill(undefined);
  for (let code = 0; code < 256; code++) {
    const same = rows.filter((r) => r.code === code);
    if (same.length > 0) index[code] = { rows: same, by: discriminator(same) };
  }
  return index;
}

function discriminator(same: readonly OpcodeRow[]): Discriminator | undefined {
  const form = same[0]!.form;
  if (form === 'alu') return same.length > 1 ? 'off' : undefined;
  if (form === 'end' || form === 'atomic' || form === 'load_acquire') return 'imm';
  return form === 'ld_imm64' || form === 'call' || form === 'may_goto' ? 'src' : undefined;
}

/** Rows that share an opcode byte; empty where there is none. */
export function rowsOfCode(code: number): readonly OpcodeRow[] {
  return BY_CODE[code]?.rows ?? [];
}

/** The field that tells the rows of an opcode byte apart, where there are several. */
export function discriminatorOf(code: number): Discriminator | undefined {
  return BY_CODE[code]?.by;
}

/** The row of a name such as `add64_imm`, or undefined. */
export function rowByName(name: string): OpcodeRow | undefined {
  return BY_NAME.get(name);
}

/**
 * The row that an instruction is of, or undefined when the opcode byte, or the value of the field that
 * tells its rows apart, is not in the table. Reserved fields may still be in use: see `check.ts`.
 */
export function findOpcode(insn: Insn): OpcodeRow | undefined {
  const entry = BY_CODE[insn.code];
  if (entry === undefined) return undefined;
  const { by, rows: same } = entry;
  if (by === undefined) return same[0];
  const value = insn[by];
  for (const candidate of same) if (candidate[by] === value) return candidate;
  return undefined;
}
