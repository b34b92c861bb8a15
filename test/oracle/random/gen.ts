/**
 * What the generator knows while it writes a program: which registers hold numbers, which hold pointers and how far those
 * may be used, which stack bytes are written. Only as far as is needed to be right most of the time.
 */
import type { Rng } from '../verdicts-rng.js';
import { type Builder, EXIT, SIZES, Size } from './builder.js';

export type ProgTypeName =
  | 'socket_filter'
  | 'sched_cls'
  | 'xdp'
  | 'cgroup_skb'
  | 'tracepoint'
  | 'raw_tracepoint'
  | 'kprobe'
  | 'perf_event'
  | 'syscall';

export type Kind = 'none' | 'scalar' | 'ctx' | 'mem' | 'packet';

export interface Reg {
  readonly kind: Kind;
  /** Bytes that may be accessed from a pointer on. */
  readonly room: number;
  readonly readOnly?: boolean;
}

export const NONE: Reg = { kind: 'none', room: 0 };
export const SCALAR: Reg = { kind: 'scalar', room: 0 };
export const CTX: Reg = { kind: 'ctx', room: 0 };

export interface MapSpec {
  readonly type: string;
  readonly key_size: number;
  readonly value_size: number;
  readonly max_entries: number;
  readonly map_flags: number;
  readonly name: string;
  readonly data?: string;
  readonly frozen?: boolean;
  readonly btf?: string;
  readonly btf_key_type_id?: number;
  readonly btf_value_type_id?: number;
  /** Index of an earlier map. */
  readonly inner?: number;
}

/** What a function is given in r1, r2, …. */
export type Param = 'scalar' | 'ctx' | 'mem';

export interface Sub {
  readonly kind: 'static' | 'global' | 'callback' | 'elem_callback' | 'timer_callback';
  readonly params: readonly Param[];
  readonly depth: number;
  /** Slots of calls to it, and of loads of its address. */
  readonly callers: number[];
}

/** Of everything that the functions of one program share. */
export interface Shared {
  readonly rng: Rng;
  readonly progType: ProgTypeName;
  readonly builder: Builder;
  readonly maps: MapSpec[];
  readonly subs: Sub[];
  /** Functions have BTF, so that there can be global ones and callbacks. */
  readonly hasBtf: boolean;
  /** Chance that something is forgotten, or off by one. */
  readonly slip: number;
  /** Id of a kernel function in the kernel's types. */
  readonly kfunc: ((name: string) => number | undefined) | undefined;
  /** Offsets of 32-bit fields of a task. */
  readonly taskFields: readonly number[];
  /** Uses objects of the kernel too. */
  readonly withObjects: boolean;
}

/** Stack bytes for numbers; keys and buffers lie below. */
export const STACK = 64;
export const KEY_OFF = -72;
export const VALUE_OFF = -136;
export const POINTER_OFF = -144;
export const BUFFER_OFF = -208;

const IMMS = [
  0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 24, 31, 32, 63, 64, 127, 128, 255, 256, 1023, 0x7fff, 0xffff, 0x10000, -1,
  -2, -8, -16, -64, -128, -256, 0x7fffffff, 0x7ffffffe, -0x80000000, -0x7fffffff, 0x55555555, 0x0f0f0f0f,
];

export interface Snapshot {
  readonly regs: readonly Reg[];
  readonly stack: Uint8Array;
}

export class Gen {
  readonly b: Builder;
  readonly rng: Rng;
  regs: Reg[] = Array.from({ length: 10 }, () => NONE);
  /** 1 where a byte below r10 is written; index 0 is r10-1. */
  stack = new Uint8Array(STACK);
  /** Registers that statements must leave alone: loop counters, the context. */
  readonly held = new Set<number>();
  /** Something is held that an exit would leak. */
  noExit = 0;
  nesting = 0;

  constructor(
    readonly shared: Shared,
    readonly depth: number,
  ) {
    this.b = shared.builder;
    this.rng = shared.rng;
  }

  get progType(): ProgTypeName {
    return this.shared.progType;
  }

  slips(): boolean {
    return this.rng.chance(this.shared.slip);
  }

  imm(): number {
    return this.rng.chance(0.75) ? this.rng.pick(IMMS) : this.rng.int32();
  }

  size(): number {
    return this.rng.pick(SIZES);
  }

  private ofKind(kind: Kind): number[] {
    return this.regs.flatMap((reg, i) => (reg.kind === kind ? [i] : []));
  }

  /** A register that holds a number; makes one where there is none. */
  scalar(): number {
    if (this.slips()) return this.rng.range(0, 9);
    const known = this.ofKind('scalar');
    if (known.length > 0) return this.rng.pick(known);
    const reg = this.dest();
    this.b.mov(reg, this.imm());
    return this.set(reg, SCALAR);
  }

  /** A number that may be changed. */
  mutable(): number {
    if (this.slips()) return this.rng.range(0, 9);
    const known = this.ofKind('scalar').filter((reg) => !this.held.has(reg));
    if (known.length > 0) return this.rng.pick(known);
    const reg = this.dest();
    this.b.mov(reg, this.imm());
    return this.set(reg, SCALAR);
  }

  /** A register to write to: no pointer, if it can be. */
  dest(avoid: readonly number[] = []): number {
    const free = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].filter((reg) => !this.held.has(reg) && !avoid.includes(reg));
    const plain = free.filter((reg) => this.regs[reg]!.kind === 'none' || this.regs[reg]!.kind === 'scalar');
    return this.rng.pick(plain.length > 0 && this.rng.chance(0.95) ? plain : free);
  }

  /** A register that calls leave alone. */
  saved(): number {
    const free = [6, 7, 8, 9].filter((reg) => !this.held.has(reg));
    return free.length > 0 ? this.rng.pick(free) : 9;
  }

  set(reg: number, what: Reg): number {
    this.regs[reg] = what;
    return reg;
  }

  pointer(kind: 'mem' | 'packet'): number | undefined {
    const known = this.ofKind(kind).filter((reg) => this.regs[reg]!.room > 0);
    return known.length > 0 ? this.rng.pick(known) : undefined;
  }

  ctx(): number | undefined {
    const known = this.ofKind('ctx');
    return known.length > 0 ? this.rng.pick(known) : undefined;
  }

  /** What a call leaves. */
  afterCall(): void {
    for (let reg = 0; reg <= 5; reg++) this.regs[reg] = NONE;
  }

  dropPackets(): void {
    this.regs = this.regs.map((reg) => (reg.kind === 'packet' ? NONE : reg));
  }

  snapshot(): Snapshot {
    return { regs: [...this.regs], stack: this.stack.slice() };
  }

  restore({ regs, stack }: Snapshot): void {
    this.regs = [...regs];
    this.stack = stack.slice();
  }

  /** What holds on both of two ways that meet. */
  join({ regs, stack }: Snapshot): void {
    this.regs = this.regs.map((reg, i) => {
      const other = regs[i]!;
      if (reg.kind !== other.kind) return NONE;
      const readOnly = reg.readOnly === true || other.readOnly === true;
      return { kind: reg.kind, room: Math.min(reg.room, other.room), readOnly };
    });
    this.stack = this.stack.map((byte, i) => byte & stack[i]!);
  }

  /** Index of a map in the request, which gets it when it is first used. */
  map(spec: MapSpec): number {
    const known = this.shared.maps.findIndex(({ name }) => name === spec.name);
    return known >= 0 ? known : this.shared.maps.push(spec) - 1;
  }

  /** Leaves the function with a constant. */
  exit(): void {
    this.b.mov(0, this.rng.chance(0.9) ? this.rng.range(0, 1) : this.imm());
    this.b.emit(EXIT);
  }

  /** A number from the packet or context, unknown to a verifier. */
  unknown(reg: number): void {
    const ctx = this.ctx();
    if (ctx === undefined || this.slips()) this.fromStack(reg);
    else this.b.load(Size.w, reg, ctx, this.rng.pick(WORDS[this.progType]));
    this.set(reg, SCALAR);
  }

  private fromStack(reg: number): void {
    const slots = [1, 2, 3, 4, 5, 6, 7, 8].filter((n) =>
      this.stack.subarray(8 * n - 8, 8 * n).every((byte) => byte === 1),
    );
    if (slots.length > 0) this.b.load(Size.dw, reg, 10, -8 * this.rng.pick(slots));
    else this.b.mov(reg, this.imm());
  }
}

/** Program types on packets that are no XDP programs; and those that trace. */
export const SKBS: readonly ProgTypeName[] = ['socket_filter', 'sched_cls', 'cgroup_skb'];
export const TRACING: readonly ProgTypeName[] = ['kprobe', 'tracepoint', 'raw_tracepoint', 'perf_event'];

/** Offsets of plain 32-bit words of each context. */
const SKB_WORDS = [0, 4, 8, 12, 16, 20, 24, 32, 36, 40];
const WORDS: Readonly<Record<ProgTypeName, readonly number[]>> = {
  socket_filter: [...SKB_WORDS, 48, 52, 64],
  sched_cls: [...SKB_WORDS, 48, 52, 64, 72],
  cgroup_skb: [...SKB_WORDS, 48, 52],
  xdp: [12, 16],
  tracepoint: [8, 16, 20, 24, 32, 64],
  raw_tracepoint: [0, 8, 16, 24],
  kprobe: [0, 8, 40, 80, 112],
  perf_event: [0, 8, 40, 112],
  syscall: [0, 4, 8, 20, 60],
};
