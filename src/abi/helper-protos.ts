/**
 * Helper prototypes: the types, and the reader of the table in helper-protos-table.ts. Models `struct bpf_func_proto`,
 * `enum bpf_arg_type` and `enum bpf_return_type` of include/linux/bpf.h (Linux 6.18).
 *
 * A line reads `name/variant(arg, …): result flags`. An argument is `kind[bytes]:struct+modifier…`, a result
 * `kind:struct+modifier…`; both take their words from the lists below.
 */
import { HELPER_PROTO_TABLE } from './helper-protos-table.js';
import { type HelperName, helperId } from './helpers.js';

const ARG_KINDS = [
  /** Constant pointer to a map, from `LD_IMM64`. */
  'map',
  /** Initialised memory of the map's key size; of its value size. */
  'map_key',
  'map_value',
  /** Memory whose size is `fixedSize` or comes in the next argument. */
  'mem',
  /** Size in bytes of the memory in the argument before, at least 1; or 0, too. */
  'size',
  'size_or_zero',
  /** Known constant: bytes that the result points to. */
  'alloc_size_or_zero',
  'ctx',
  /** Any initialised value; a number. */
  'any',
  'scalar',
  'spin_lock',
  'timer',
  'sock_common',
  'socket',
  'btf_id',
  /** Kernel socket by BTF, or one of the verifier's own socket types. */
  'btf_id_sock_common',
  'percpu_btf_id',
  'ringbuf_mem',
  'func',
  /** Stack of the caller, handed on to a callback. */
  'stack',
  /** Address of a NUL-terminated string in a read-only map. */
  'const_str',
  'kptr_xchg_dest',
  'dynptr',
] as const;

/** `ARG_*` without its flags. */
export type HelperArgKind = (typeof ARG_KINDS)[number];

const RET_KINDS = [
  'int',
  'void',
  'map_value',
  'socket',
  'tcp_sock',
  'sock_common',
  'mem',
  'mem_or_btf_id',
  'btf_id',
] as const;

/** `RET_*` without its flags. */
export type HelperRetKind = (typeof RET_KINDS)[number];

/** One argument. */
export interface HelperArg {
  readonly kind: HelperArgKind;
  /** PTR_MAYBE_NULL: a known zero will do. */
  readonly nullable: boolean;
  /** MEM_RDONLY: the helper only reads. */
  readonly readOnly: boolean;
  /** MEM_UNINIT: the memory need not be initialised. */
  readonly uninit: boolean;
  /** MEM_WRITE: the helper writes. */
  readonly writes: boolean;
  /** MEM_ALIGNED: aligned to its size. */
  readonly aligned: boolean;
  /** OBJ_RELEASE: the reference is given up. */
  readonly release: boolean;
  /** MEM_FIXED_SIZE: bytes of `mem` that has no size argument. */
  readonly fixedSize?: number;
  /** DYNPTR_TYPE_*: which dynptr; any where absent. */
  readonly dynptr?: 'local' | 'ringbuf';
  /** Kernel structure that a `btf_id` must point to; absent where the helper's own rule decides. */
  readonly struct?: string;
}

/** What R0 holds after the call. */
export interface HelperRet {
  readonly kind: HelperRetKind;
  /** PTR_MAYBE_NULL. */
  readonly nullable: boolean;
  /** MEM_RDONLY. */
  readonly readOnly: boolean;
  /** MEM_RINGBUF: a record of a ring buffer. */
  readonly ringbuf: boolean;
  /** PTR_TRUSTED. */
  readonly trusted: boolean;
  /** Kernel structure that a `btf_id` points to. */
  readonly struct?: string;
}

/** Which further condition a program must meet (`bpf_func_proto.allowed`). */
export type HelperCondition = 'd_path' | 'sk_storage_tracing' | 'ima_hash';

export interface HelperProto {
  readonly id: number;
  readonly name: HelperName;
  /** Empty for the prototype that most program types get. */
  readonly variant: string;
  readonly args: readonly HelperArg[];
  readonly ret: HelperRet;
  readonly gplOnly: boolean;
  /** Memory arguments may point into the packet. */
  readonly pktAccess: boolean;
  readonly mightSleep: boolean;
  /** Clobbers no more registers than its arguments take (`bpf_fastcall`). */
  readonly allowFastcall: boolean;
  /** Packet pointers are void after the call (`bpf_helper_changes_pkt_data`). */
  readonly changesPacket: boolean;
  readonly condition?: HelperCondition;
}

const LINE = /^(\w+)(?:\/(\w+))?\(([^)]*)\): (\S+)(.*)$/;
const ITEM = /^(\w+)(?:\[(\d+)\])?(?::(\w+))?((?:\+\w+)*)$/;
const ARG_MODIFIERS = new Set(['null', 'ro', 'uninit', 'write', 'aligned', 'release', 'local', 'ringbuf']);
const RET_MODIFIERS = new Set(['null', 'ro', 'ringbuf', 'trusted']);
const FLAGS = new Set(['gpl', 'pkt', 'sleeps', 'fastcall', 'changes_pkt']);

interface Item {
  readonly kind: string;
  readonly bytes?: number;
  readonly struct?: string;
  readonly modifiers: ReadonlySet<string>;
}

/** A mistake in the table is a mistake in the program, found when it is first loaded by any test. */
function bad(text: string): never {
  throw new Error(`helper table: ${text}`);
}

function readItem(text: string, known: ReadonlySet<string>): Item {
  const match = ITEM.exec(text) ?? bad(text);
  const modifiers = new Set((match[4] ?? '').split('+').slice(1));
  for (const word of modifiers) if (!known.has(word)) bad(text);
  return {
    kind: match[1]!,
    modifiers,
    ...(match[2] !== undefined && { bytes: Number(match[2]) }),
    ...(match[3] !== undefined && { struct: match[3] }),
  };
}

function readArg(text: string): HelperArg {
  const { kind, bytes, struct, modifiers } = readItem(text, ARG_MODIFIERS);
  const dynptr = modifiers.has('local') ? 'local' : modifiers.has('ringbuf') ? 'ringbuf' : undefined;
  return {
    kind: ARG_KINDS.find((k) => k === kind) ?? bad(text),
    nullable: modifiers.has('null'),
    readOnly: modifiers.has('ro'),
    uninit: modifiers.has('uninit'),
    writes: modifiers.has('write'),
    aligned: modifiers.has('aligned'),
    release: modifiers.has('release'),
    ...(bytes !== undefined && { fixedSize: bytes }),
    ...(dynptr !== undefined && { dynptr }),
    ...(struct !== undefined && { struct }),
  };
}

function readRet(text: string): HelperRet {
  const { kind, struct, modifiers } = readItem(text, RET_MODIFIERS);
  return {
    kind: RET_KINDS.find((k) => k === kind) ?? bad(text),
    nullable: modifiers.has('null'),
    readOnly: modifiers.has('ro'),
    ringbuf: modifiers.has('ringbuf'),
    trusted: modifiers.has('trusted'),
    ...(struct !== undefined && { struct }),
  };
}

function readLine(line: string): HelperProto {
  const match = LINE.exec(line) ?? bad(line);
  const [name, variant, args, ret, rest] = match.slice(1) as [HelperName, string?, string?, string?, string?];
  const flags = new Set((rest ?? '').split(' ').filter((word) => word !== ''));
  const condition = [...flags].find((word) => word.startsWith('in:'))?.slice(3) as
    | HelperCondition
    | undefined;
  for (const word of flags) if (!FLAGS.has(word) && !word.startsWith('in:')) bad(line);
  return {
    id: helperId(name) ?? bad(line),
    name,
    variant: variant ?? '',
    args: args === '' ? [] : args!.split(', ').map(readArg),
    ret: readRet(ret!),
    gplOnly: flags.has('gpl'),
    pktAccess: flags.has('pkt'),
    mightSleep: flags.has('sleeps'),
    allowFastcall: flags.has('fastcall'),
    changesPacket: flags.has('changes_pkt'),
    ...(condition !== undefined && { condition }),
  };
}

/** Every prototype, in the order of the helpers' ids, variants behind the common form. */
export const HELPER_PROTOS: readonly HelperProto[] = HELPER_PROTO_TABLE.trim().split('\n').map(readLine);

const BY_KEY: ReadonlyMap<string, HelperProto> = new Map(
  HELPER_PROTOS.map((proto) => [`${proto.id}/${proto.variant}`, proto]),
);

/** The prototype of helper `id` in a variant (`''`: the common one), or undefined where there is none. */
export function helperProtoOf(id: number, variant = ''): HelperProto | undefined {
  return BY_KEY.get(`${id}/${variant}`);
}
