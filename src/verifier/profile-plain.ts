/**
 * Is a program so plain that every release since 4.19 judges it like 6.18? One walk over instructions that only jump
 * forward, with as little knowledge as any of those releases had: constants, the context, the stack. Offsets, sizes and
 * stack contents that take more than that to know are a doubt.
 */
import { type HelperArg, type HelperProto, helperProtoOf } from '../abi/helper-protos.js';
import { type HelperName, helperId, helperText } from '../abi/helpers.js';
import { ProgType } from '../abi/prog-types.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import type { VerifyMap, VerifyRequest } from './types.js';

/** What a register holds; `other`: a pointer into a map value or a packet, or anything. */
type Value =
  | { readonly kind: 'other' | 'ctx' | 'scalar' | 'mem' }
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'fp'; readonly off: number }
  | { readonly kind: 'map'; readonly map: VerifyMap };

const OTHER: Value = { kind: 'other' };
const SCALAR: Value = { kind: 'scalar' };
const MEM: Value = { kind: 'mem' };
const CTX: Value = { kind: 'ctx' };

const STACK_SIZE = 512;
const SLOT = 8;

class PlainState {
  readonly regs: Value[];
  /** A byte a byte of the stack: 1 where something was written. */
  readonly stack: Uint8Array;
  /** Whole slots, by their offset from the frame pointer. */
  readonly slots: Map<number, Value>;

  constructor(from?: PlainState) {
    this.regs = from === undefined ? Array.from({ length: 11 }, () => OTHER) : [...from.regs];
    this.stack = from === undefined ? new Uint8Array(STACK_SIZE) : from.stack.slice();
    this.slots = new Map(from?.slots);
  }

  /** Keeps what holds on both ways here. */
  meet(other: PlainState): void {
    this.regs.forEach((value, i) => {
      this.regs[i] = common(value, other.regs[i]!);
    });
    this.stack.forEach((byte, i) => {
      this.stack[i] = byte & other.stack[i]!;
    });
    for (const [off, value] of this.slots) this.slots.set(off, common(value, other.slots.get(off) ?? OTHER));
  }

  isWritten(off: number, size: number): boolean {
    if (off < -STACK_SIZE || off + size > 0) return false;
    return this.stack.subarray(STACK_SIZE + off, STACK_SIZE + off + size).every((byte) => byte === 1);
  }

  write(off: number, size: number, value: Value): void {
    this.stack.fill(1, Math.max(0, STACK_SIZE + off), Math.max(0, STACK_SIZE + off + size));
    for (const slot of this.slots.keys()) if (slot < off + size && off < slot + SLOT) this.slots.delete(slot);
    if (size === SLOT) this.slots.set(off, value);
  }

  /** No pointer lies there, which a helper could not take for data. */
  holdsData(off: number, size: number): boolean {
    return [...this.slots].every(
      ([slot, value]) => slot >= off + size || off >= slot + SLOT || isNumber(value),
    );
  }
}

const isNumber = ({ kind }: Value): boolean => kind === 'scalar' || kind === 'const';

function common(a: Value, b: Value): Value {
  if (a.kind === b.kind) {
    if (a.kind === 'const' && b.kind === 'const') return a.value === b.value ? a : SCALAR;
    if (a.kind === 'fp' && b.kind === 'fp') return a.off === b.off ? a : OTHER;
    if (a.kind === 'map' && b.kind === 'map') return a.map === b.map ? a : OTHER;
    return a;
  }
  return isNumber(a) && isNumber(b) ? SCALAR : OTHER;
}

const ids = (names: string): number[] => names.split(' ').map((name) => helperId(name as HelperName) ?? 0);

const BASE =
  'map_lookup_elem map_update_elem map_delete_elem ktime_get_ns trace_printk get_prandom_u32 get_smp_processor_id tail_call';
const TRACING =
  'probe_read get_current_pid_tgid get_current_uid_gid get_current_comm perf_event_output get_stackid get_current_task ' +
  'probe_read_str get_current_cgroup_id probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str';
const SKB =
  'skb_store_bytes skb_load_bytes l3_csum_replace l4_csum_replace clone_redirect redirect csum_diff perf_event_output';
const XDP = 'xdp_adjust_head redirect redirect_map csum_diff perf_event_output fib_lookup';

/** Helpers that programs of the type could call in each release that has them. */
const HELPERS: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [ProgType.socket_filter, new Set(ids(`${BASE} skb_load_bytes perf_event_output`))],
  [ProgType.sched_cls, new Set(ids(`${BASE} ${SKB}`))],
  [ProgType.sched_act, new Set(ids(`${BASE} ${SKB}`))],
  [ProgType.xdp, new Set(ids(`${BASE} ${XDP}`))],
  ...[ProgType.kprobe, ProgType.tracepoint, ProgType.perf_event, ProgType.raw_tracepoint].map(
    (type) => [type, new Set(ids(`${BASE} ${TRACING}`))] as const,
  ),
]);

/** Bytes of the context that all releases have; unlimited where the context is registers or a record. */
const CONTEXT_SIZE: ReadonlyMap<number, number> = new Map([
  [ProgType.socket_filter, 76],
  [ProgType.sched_cls, 84],
  [ProgType.sched_act, 84],
  [ProgType.xdp, 20],
]);

const SIZES: Readonly<Record<number, number>> = { [C.BPF_W]: 4, [C.BPF_H]: 2, [C.BPF_B]: 1, [C.BPF_DW]: 8 };

/** What a release allows in calls. */
export interface CallFacts {
  /** Stack that nothing was written to may be read, as 6.3 and later let the privileged. */
  readonly uninitAllowed: boolean;
}

export class PlainWalk {
  readonly #request: VerifyRequest;
  readonly #facts: CallFacts;
  readonly #incoming = new Map<number, PlainState>();
  /** Undefined after an instruction that never goes on to the next. */
  #state: PlainState | undefined;

  constructor(request: VerifyRequest, facts: CallFacts) {
    this.#request = request;
    this.#facts = facts;
    this.#state = new PlainState();
    this.#state.regs[1] = CTX;
    this.#state.regs[10] = { kind: 'fp', off: 0 };
  }

  /** First doubt, in words; undefined where the program is plain. Instructions must not jump back. */
  firstDoubt(): string | undefined {
    const { insns } = this.#request;
    for (let i = 0; i < insns.length; i++) {
      const insn = insns[i]!;
      this.#enter(i);
      const state = this.#state;
      if (state === undefined) return `insn ${i} is not reached in a plain way`;
      const doubt = this.#step(state, insn, i);
      if (doubt !== undefined) return `insn ${i} ${doubt}`;
      if (insn.code === C.LD_IMM64) i++;
    }
    return undefined;
  }

  #enter(i: number): void {
    const incoming = this.#incoming.get(i);
    if (incoming === undefined) return;
    if (this.#state === undefined) this.#state = incoming;
    else this.#state.meet(incoming);
  }

  #leaveTo(i: number): void {
    const known = this.#incoming.get(i);
    if (known === undefined) this.#incoming.set(i, new PlainState(this.#state));
    else if (this.#state !== undefined) known.meet(this.#state);
  }

  #step(state: PlainState, insn: Insn, i: number): string | undefined {
    switch (insn.code & 0x07) {
      case C.BPF_ALU:
        state.regs[insn.dst] = SCALAR;
        if ((insn.code & 0xf8) === C.BPF_MOV && insn.imm >= 0)
          state.regs[insn.dst] = { kind: 'const', value: insn.imm };
        return undefined;
      case C.BPF_ALU64:
        return this.#alu(state, insn);
      case C.BPF_LD:
        return this.#ld(state, insn, i);
      case C.BPF_LDX:
        return this.#load(state, insn);
      case C.BPF_ST:
      case C.BPF_STX:
        return this.#store(state, insn);
      default:
        return this.#jump(state, insn, i);
    }
  }

  #alu({ regs }: PlainState, { code, dst, src, imm }: Insn): string | undefined {
    const op = code & 0xf0;
    const fromReg = (code & C.BPF_X) !== 0;
    const a = regs[dst]!;
    const b: Value = fromReg ? regs[src]! : { kind: 'const', value: imm };
    if (op === C.BPF_MOV) {
      regs[dst] = b;
      return undefined;
    }
    if (op === C.BPF_ADD || op === C.BPF_SUB) {
      const step = b.kind === 'const' ? (op === C.BPF_ADD ? b.value : -b.value) : undefined;
      if (isNumber(a) && isNumber(b)) regs[dst] = SCALAR;
      else if (step === undefined)
        return 'adds a register: pointers with variable offsets were judged otherwise';
      else if (a.kind === 'fp') regs[dst] = { kind: 'fp', off: a.off + step };
      else if (a.kind === 'ctx') return 'moves the context pointer';
      return undefined;
    }
    if (!isNumber(a) && a.kind !== 'other') return 'computes with a pointer';
    regs[dst] = SCALAR;
    return undefined;
  }

  #ld({ regs }: PlainState, insn: Insn, i: number): string | undefined {
    if (insn.code !== C.LD_IMM64) {
      regs.fill(OTHER, 1, 6);
      regs[0] = SCALAR;
      return undefined;
    }
    const map = insn.src === C.BPF_PSEUDO_MAP_FD ? this.#request.maps?.[insn.imm] : undefined;
    if (map !== undefined) regs[insn.dst] = { kind: 'map', map };
    else if (insn.src === C.BPF_PSEUDO_MAP_VALUE) regs[insn.dst] = MEM;
    else if (insn.src === 0) regs[insn.dst] = SCALAR;
    else return 'takes an address that is not plain';
    return this.#request.insns[i + 1] === undefined ? 'is cut' : undefined;
  }

  #load(state: PlainState, { code, dst, src, off }: Insn): string | undefined {
    const base = state.regs[src]!;
    const size = SIZES[code & 0x18]!;
    if (base.kind === 'fp') {
      const at = base.off + off;
      if (!this.#facts.uninitAllowed && !state.isWritten(at, size))
        return 'reads stack that may not be written';
      state.regs[dst] = size === SLOT ? (state.slots.get(at) ?? SCALAR) : SCALAR;
      return undefined;
    }
    if (base.kind !== 'ctx') {
      state.regs[dst] = SCALAR;
      return undefined;
    }
    const limit = CONTEXT_SIZE.get(this.#request.progType);
    if (limit !== undefined && off + size > limit) return 'reads a part of the context that came later';
    state.regs[dst] = limit === undefined ? SCALAR : OTHER;
    return undefined;
  }

  #store(state: PlainState, insn: Insn): string | undefined {
    const base = state.regs[insn.dst]!;
    if (base.kind === 'ctx') return 'writes to the context';
    const isStx = (insn.code & 0x07) === C.BPF_STX;
    if (isStx && (insn.code & 0xe0) === C.BPF_ATOMIC) {
      return base.kind === 'fp' || insn.imm !== C.BPF_ADD
        ? 'is an atomic operation that is not plain'
        : undefined;
    }
    if (base.kind !== 'fp') return undefined;
    const value = isStx ? state.regs[insn.src]! : SCALAR;
    if (value.kind === 'ctx') return 'keeps the context on the stack';
    state.write(base.off + insn.off, SIZES[insn.code & 0x18]!, value);
    return undefined;
  }

  #jump(state: PlainState, insn: Insn, i: number): string | undefined {
    const op = insn.code & 0xf0;
    if (op === C.BPF_CALL) return insn.src === 0 ? this.#call(state, insn.imm) : 'calls a function';
    if (op === C.BPF_EXIT) {
      this.#state = undefined;
      return undefined;
    }
    this.#leaveTo(i + 1 + insn.off);
    if (op === C.BPF_JA) this.#state = undefined;
    return undefined;
  }

  #call(state: PlainState, id: number): string | undefined {
    const proto = helperProtoOf(id);
    const known = HELPERS.get(this.#request.progType)?.has(id) === true;
    if (proto === undefined || !known) {
      return `calls ${helperText(id)}, and which programs may is not recorded release by release`;
    }
    const doubt = this.#arguments(state, proto);
    if (doubt !== undefined) return `${doubt} of ${helperText(id)}`;
    state.regs.fill(OTHER, 1, 6);
    state.regs[0] = proto.ret.kind === 'int' ? SCALAR : OTHER;
    return undefined;
  }

  #arguments(state: PlainState, { args }: HelperProto): string | undefined {
    const map = args.findIndex(({ kind }) => kind === 'map');
    const mapValue = map < 0 ? OTHER : state.regs[map + 1]!;
    for (const [n, arg] of args.entries()) {
      const size = sizeOf(arg, state.regs[n + 2], mapValue);
      if (size === undefined) continue;
      const value = state.regs[n + 1]!;
      if (size === 'unknown') return `hands over memory of a size that is no constant as argument ${n + 1}`;
      if (value.kind !== 'fp') {
        const plain = value.kind === 'mem' || (value.kind === 'const' && value.value === 0);
        if (plain) continue;
        return `hands over memory that is not on the stack as argument ${n + 1}`;
      }
      const written = state.isWritten(value.off, size);
      if (arg.uninit) state.write(value.off, size, SCALAR);
      else if (!state.holdsData(value.off, size) || (!written && !this.#facts.uninitAllowed))
        return `hands over stack that may not be written as argument ${n + 1}`;
    }
    return undefined;
  }
}

/** Bytes of memory that an argument stands for; undefined for arguments that are no memory. */
function sizeOf(arg: HelperArg, next: Value | undefined, map: Value): number | 'unknown' | undefined {
  switch (arg.kind) {
    case 'map_key':
      return map.kind === 'map' ? map.map.keySize : 'unknown';
    case 'map_value':
      return map.kind === 'map' ? map.map.valueSize : 'unknown';
    case 'mem':
      if (arg.fixedSize !== undefined) return arg.fixedSize;
      return next?.kind === 'const' ? next.value : 'unknown';
    default:
      return undefined;
  }
}
