/**
 * How to give a helper what it asks for: the instructions that put a proper value into an argument's register, and the
 * maps that they need. What cannot be had in a raw program (kernel structures of some hook, callbacks, timers) is
 * left out; the arguments behind it are then not probed.
 */
import type { HelperArg, HelperProto } from '../../../src/abi/helper-protos.js';
import { MapFlag } from '../../../src/abi/map-flags.js';
import { MapType } from '../../../src/abi/map-types.js';
import { ProgType } from '../../../src/abi/prog-types.js';
import { mapHelperProblem } from '../../../src/verifier/env/index.js';
import { type SweepEnv, vmlinuxId } from './env.js';

/** Stack below r10: keys, values and memory, all zero. */
export const ZEROED = 256;
const KEY_OFF = -64;
const VALUE_OFF = -128;
export const MEM_OFF = -256;

/** BTF of one type, `int`, with id 1. */
function intBtf(): string {
  const bytes = Buffer.alloc(24 + 16 + 5);
  bytes.writeUInt16LE(0xeb9f, 0);
  bytes[2] = 1;
  [24, 0, 16, 16, 5].forEach((word, i) => {
    bytes.writeUInt32LE(word, 4 + 4 * i);
  });
  [1, 1 << 24, 4, (1 << 24) | 32].forEach((word, i) => {
    bytes.writeUInt32LE(word, 24 + 4 * i);
  });
  bytes.write('\0int\0', 40, 'latin1');
  return bytes.toString('hex');
}

const sized = (key_size: number, value_size: number, max_entries = 1, map_flags = 0): object => ({
  key_size,
  value_size,
  max_entries,
  map_flags,
});
const INT = { btf: intBtf(), btf_key_type_id: 1, btf_value_type_id: 1 };
const LOCAL_STORAGE = { ...sized(4, 4, 0, MapFlag.BPF_F_NO_PREALLOC), ...INT };

/** Map types in the order in which they are tried for a helper. */
const CREATABLE: readonly (readonly [type: number, how: object])[] = [
  [MapType.hash, sized(8, 64)],
  [MapType.array, sized(4, 64)],
  [MapType.percpu_array, sized(4, 8)],
  [MapType.prog_array, sized(4, 4)],
  [MapType.perf_event_array, sized(4, 4)],
  [MapType.stack_trace, sized(4, 8)],
  [MapType.cgroup_array, sized(4, 4)],
  [MapType.ringbuf, sized(0, 0, 4096)],
  [MapType.user_ringbuf, sized(0, 0, 4096)],
  [MapType.queue, sized(0, 64)],
  [MapType.sockmap, sized(4, 4)],
  [MapType.sockhash, sized(4, 4)],
  [MapType.reuseport_sockarray, sized(4, 4)],
  [MapType.devmap, sized(4, 4)],
  [MapType.cgroup_storage, sized(16, 8, 0)],
  [MapType.sk_storage, LOCAL_STORAGE],
  [MapType.inode_storage, LOCAL_STORAGE],
  [MapType.task_storage, LOCAL_STORAGE],
  [MapType.cgrp_storage, LOCAL_STORAGE],
  [MapType.lru_hash, sized(8, 64)],
  [MapType.percpu_hash, sized(8, 8)],
  [MapType.lru_percpu_hash, sized(8, 8)],
  [MapType.lpm_trie, sized(8, 64, 1, MapFlag.BPF_F_NO_PREALLOC)],
  [MapType.stack, sized(0, 64)],
  [MapType.bloom_filter, sized(0, 64)],
  [MapType.devmap_hash, sized(4, 4)],
  [MapType.cpumap, sized(4, 4)],
  [MapType.xskmap, sized(4, 4)],
  [MapType.percpu_cgroup_storage, sized(16, 8, 0)],
  [MapType.arena, sized(0, 0, 1, MapFlag.BPF_F_MMAPABLE)],
];

/** A map of each type that can be made from a raw request. */
export const MAPS: readonly { readonly type: number }[] = CREATABLE.map(([type, how]) => ({ type, ...how }));

/** The map that every request holds at index 1: 64 read-only bytes, the string "a" among them. */
export const RODATA = {
  type: MapType.array,
  ...sized(4, 64, 1, MapFlag.BPF_F_RDONLY_PROG),
  data: `61${'00'.repeat(63)}`,
  frozen: true,
};
export const RODATA_INDEX = 1;
/** A writable array of 64 bytes, at index 2. */
export const PLAIN = { type: MapType.array, ...sized(4, 64) };
export const PLAIN_INDEX = 2;

/** `maps` of a request that calls this helper: the one that it takes comes first. */
export function mapsFor({ env }: SweepEnv, proto: HelperProto): object[] {
  const own = MAPS.find(({ type }) => mapHelperProblem(env, type, proto.id) === undefined);
  return [own ?? MAPS[0]!, RODATA, PLAIN];
}

/** Two-slot load of a map, or of the address of its first value, by index in the request. */
export const loadMap = (reg: number, index: number): string => `r${reg} = map[fd:${index}]`;
export const loadValue = (reg: number, index: number, off = 0): string =>
  `r${reg} = map[fd:${index}][0]+${off}`;

/** Where the context holds a socket. */
const SOCKET_OFF: ReadonlyMap<number, number> = new Map([
  [ProgType.socket_filter, 168],
  [ProgType.sched_cls, 168],
  [ProgType.sched_act, 168],
  [ProgType.cgroup_skb, 168],
  [ProgType.sk_skb, 168],
  [ProgType.lwt_in, 168],
  [ProgType.lwt_out, 168],
  [ProgType.lwt_xmit, 168],
  [ProgType.lwt_seg6local, 168],
  [ProgType.cgroup_sock_addr, 64],
  [ProgType.sock_ops, 184],
  [ProgType.sk_msg, 72],
  [ProgType.cgroup_sockopt, 0],
  [ProgType.sk_reuseport, 40],
  [ProgType.sk_lookup, 0],
]);

const GET_PRANDOM_U32 = 7;

/** Instructions that run before any argument is set: r6 the context, r9 a number, the stack zero, r1–r5 unreadable. */
export function prologue(): string {
  const zero = Array.from({ length: ZEROED / 8 }, (_, i) => `*(u64 *)(r10 - ${8 * (i + 1)}) = r1`);
  return ['r6 = r1', 'r1 = 0', ...zero, `call ${GET_PRANDOM_U32}`, 'r9 = r0'].join('\n');
}

const DYNPTR_FROM_MEM = 197;
/** Below everything that arguments point to. */
const DYNPTR_OFF = -272;
const SLICE_SIZE = 40;

/** Puts a pointer to 40 bytes that may only be read into a register; undefined where the kernel has no such function. */
export function readOnlySlice(reg: number): string | undefined {
  const kfunc = vmlinuxId('bpf_dynptr_slice', 'func');
  if (kfunc === undefined) return undefined;
  const make = [loadValue(1, PLAIN_INDEX), 'r2 = 64', 'r3 = 0', 'r4 = r10', `r4 += ${DYNPTR_OFF}`];
  const slice = ['r1 = r10', `r1 += ${DYNPTR_OFF}`, 'r2 = 0', 'r3 = 0', `r4 = ${SLICE_SIZE}`];
  return [
    ...make,
    `call ${DYNPTR_FROM_MEM}`,
    ...slice,
    `call kfunc bpf_dynptr_slice#${kfunc}`,
    'if r0 == 0 goto out',
    `r${reg} = r0`,
  ].join('\n');
}

/** Puts a socket into r7, or what it can of one; undefined where the context has none. */
function socket({ env }: SweepEnv): string | undefined {
  const off = SOCKET_OFF.get(env.type);
  return off === undefined ? undefined : `r7 = *(u64 *)(r6 + ${off})\nif r7 == 0 goto out`;
}

/** What has to be in r7 before the arguments are set; empty for nothing, undefined where it cannot be had. */
export function fetchObject(at: SweepEnv, { kind, struct, nullable }: HelperArg): string | undefined {
  if (kind === 'sock_common' || kind === 'btf_id_sock_common') return nullable ? '' : socket(at);
  if (kind !== 'btf_id' || nullable) return '';
  if (struct === 'task_struct') return 'call 158\nr7 = r0';
  const isIter = at.env.attach?.name.startsWith('bpf_iter_') === true;
  if (struct === 'seq_file' && isIter) return 'r7 = *(u64 *)(r6 + 0)\nr7 = *(u64 *)(r7 + 0)';
  return undefined;
}

/** The instruction that puts a proper value into argument register `reg`; undefined where there is none. */
export function satisfy(reg: number, arg: HelperArg): string | undefined {
  switch (arg.kind) {
    case 'map':
      return loadMap(reg, 0);
    case 'map_key':
      return `r${reg} = r10\nr${reg} += ${KEY_OFF}`;
    case 'map_value':
      return `r${reg} = r10\nr${reg} += ${VALUE_OFF}`;
    case 'mem':
      return `r${reg} = r10\nr${reg} += ${MEM_OFF}`;
    case 'size':
    case 'size_or_zero':
    case 'alloc_size_or_zero':
      return `r${reg} = 8`;
    case 'ctx':
      return `r${reg} = r6`;
    case 'any':
    case 'scalar':
      return `r${reg} = 0`;
    case 'sock_common':
    case 'btf_id_sock_common':
    case 'btf_id':
      return arg.nullable ? `r${reg} = 0` : `r${reg} = r7`;
    case 'socket':
      return arg.nullable ? `r${reg} = 0` : undefined;
    case 'const_str':
      return loadValue(reg, RODATA_INDEX);
    case 'dynptr':
      return arg.uninit && arg.dynptr === 'local' ? `r${reg} = r10\nr${reg} += -32` : undefined;
    default:
      return undefined;
  }
}
