/**
 * Names of every opcode field, pseudo source and limit, with the values of Linux's UAPI headers
 * (linux/bpf_common.h, linux/bpf.h; RFC 9669 sections 3–5). This is the only place that spells the numbers.
 *
 *     arithmetic and jumps             loads and stores
 *     +--------+---+-------+           +------+------+-------+
 *     |   op   | s | class |           | mode | size | class |
 *     +--------+---+-------+           +------+------+-------+
 *      7 6 5 4   3   2 1 0              7 6 5   4 3    2 1 0
 */

/** Instruction classes: the low three bits of the opcode. `BPF_RET` and `BPF_MISC` are classic BPF's. */
export const BPF_LD = 0x00;
export const BPF_LDX = 0x01;
export const BPF_ST = 0x02;
export const BPF_STX = 0x03;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_JMP32 = 0x06;
export const BPF_ALU64 = 0x07;
export const BPF_RET = 0x06;
export const BPF_MISC = 0x07;

/** Access sizes. */
export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

/** Access modes. `BPF_LEN` and `BPF_MSH` are classic BPF's; `BPF_MEMSX` reuses the value of `BPF_LEN`. */
export const BPF_IMM = 0x00;
export const BPF_ABS = 0x20;
export const BPF_IND = 0x40;
export const BPF_MEM = 0x60;
export const BPF_LEN = 0x80;
export const BPF_MEMSX = 0x80;
export const BPF_MSH = 0xa0;
export const BPF_ATOMIC = 0xc0;

/** Where the second operand of arithmetic and jumps comes from; `BPF_A` is classic BPF's accumulator. */
export const BPF_K = 0x00;
export const BPF_X = 0x08;
export const BPF_A = 0x10;

/** Arithmetic. */
export const BPF_ADD = 0x00;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_ARSH = 0xc0;
export const BPF_END = 0xd0;

/** Byte-order conversion, in the source bit of `BPF_ALU | BPF_END`. */
export const BPF_TO_LE = 0x00;
export const BPF_TO_BE = 0x08;

/** `off` of a `BPF_MOV` that converts between address spaces (arena pointers). */
export const BPF_ADDR_SPACE_CAST = 1;

/** Jumps. */
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;
export const BPF_JNE = 0x50;
export const BPF_JSGT = 0x60;
export const BPF_JSGE = 0x70;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
export const BPF_JLT = 0xa0;
export const BPF_JLE = 0xb0;
export const BPF_JSLT = 0xc0;
export const BPF_JSLE = 0xd0;
export const BPF_JCOND = 0xe0;

/** `src` of `BPF_JMP | BPF_JCOND`. */
export const BPF_MAY_GOTO = 0;

/** Atomic operations, in `imm` of `BPF_STX | BPF_ATOMIC`; add, and, or, xor use the arithmetic codes. */
export const BPF_FETCH = 0x01;
export const BPF_XCHG = 0xe1;
export const BPF_CMPXCHG = 0xf1;
export const BPF_LOAD_ACQ = 0x100;
export const BPF_STORE_REL = 0x110;

/** Pseudo sources of `LD_IMM64`. */
export const BPF_PSEUDO_MAP_FD = 1;
export const BPF_PSEUDO_MAP_VALUE = 2;
export const BPF_PSEUDO_BTF_ID = 3;
export const BPF_PSEUDO_FUNC = 4;
export const BPF_PSEUDO_MAP_IDX = 5;
export const BPF_PSEUDO_MAP_IDX_VALUE = 6;

/** Pseudo sources of `CALL`; 0 calls a helper by number. */
export const BPF_PSEUDO_CALL = 1;
export const BPF_PSEUDO_KFUNC_CALL = 2;

/** Opcode byte of the two-slot 64-bit immediate load. */
export const LD_IMM64 = BPF_LD | BPF_IMM | BPF_DW;

/** Registers r0–r10 that programs may name; r10 is the read-only frame pointer. */
export const MAX_BPF_REG = 11;
export const BPF_REG_FP = 10;

/** Length limit of classic programs, in instructions. */
export const BPF_MAXINSNS = 4096;
/** Scratch words M[] of classic programs. */
export const BPF_MEMWORDS = 16;

export const bpfClass = (code: number): number => code & 0x07;
export const bpfSize = (code: number): number => code & 0x18;
export const bpfMode = (code: number): number => code & 0xe0;
export const bpfOp = (code: number): number => code & 0xf0;
export const bpfSrc = (code: number): number => code & 0x08;
