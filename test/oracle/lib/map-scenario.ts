/**
 * What a comparison of maps consists of: maps, programs and objects to make, and operations in order. The running kernel
 * (`map-kernel.py`) and ours (`map-ours.ts`) are given the same and answer in the same words.
 *
 * Keys and values are hex; a part `fd:NAME` (4 bytes) or `fd8:NAME` (8 bytes), joined by `+`, is the descriptor of an object.
 * What stands for an object in an answer is `id:NAME`.
 */
export interface ScenarioMap {
  readonly type: number;
  readonly key: number;
  readonly value: number;
  readonly max: number;
  readonly flags: number;
  readonly extra?: number;
  readonly numa?: number;
  /** Index of an earlier map: the pattern of a map of maps. */
  readonly inner?: number;
  /** Hex of BTF. */
  readonly btf?: string;
  readonly btf_key?: number;
  readonly btf_value?: number;
  /** The page through which programs get arguments and give results. */
  readonly io?: boolean;
  /** A ring buffer that is read by `rc`. */
  readonly mapped?: boolean;
}

export interface ScenarioProg {
  readonly type: number;
  readonly attach?: number;
  /** Hex; map references are indices. */
  readonly insns: string;
}

export type ScenarioObject =
  | {
      readonly kind: 'udp' | 'tcp';
      readonly bound?: boolean;
      readonly reuse?: boolean;
      readonly listen?: boolean;
      readonly connected?: boolean;
    }
  | { readonly kind: 'unix' | 'unixpair'; readonly type: 'SOCK_STREAM' | 'SOCK_DGRAM' }
  | { readonly kind: 'xdp' | 'netlink' | 'file' | 'pid' }
  | { readonly kind: 'cgroup'; readonly number: number }
  | { readonly kind: 'event'; readonly cpu: number };

/**
 * `c` CPU; `u` map, key, value, flags; `l` and `x` (look-up, look-up and delete) map, key, flags, value; `d` map, key; `n` map,
 * key or null; `f` (freeze), `i` (info) map; `bl`, `bx` map, start (null, hex, `next`), count, flags; `bu`, `bd` map, keys, values,
 * flags; `p` program, data for the io page, bytes to show; `rc` read the ring buffer.
 */
export type ScenarioOp =
  | readonly ['c', number]
  | readonly ['u', number, string, string, number]
  | readonly ['l' | 'x', number, string, number, string?]
  | readonly ['d', number, string]
  | readonly ['n', number, string | null]
  | readonly ['f' | 'i', number]
  | readonly ['bl' | 'bx', number, string | null, number, number]
  | readonly ['bu' | 'bd', number, readonly string[], readonly string[], number]
  | readonly ['p', number, string, number]
  | readonly ['rc'];

export interface Scenario {
  /** The running kernel's BPF security module is not active. */
  readonly noBpfLsm?: boolean;
  readonly objects?: Readonly<Record<string, ScenarioObject>>;
  readonly maps: readonly ScenarioMap[];
  readonly progs?: readonly ScenarioProg[];
  readonly ops: readonly ScenarioOp[];
}

/** A number or text, or lists of them. */
export type Shown = number | string | null | readonly Shown[];

export interface ScenarioAnswer {
  /** 0 or a negative errno a map; [errno, log] for a program that was refused. */
  readonly created: readonly Shown[];
  readonly results: readonly Shown[];
  readonly error?: string;
}

/** Name of a descriptor that is not open. */
export const CLOSED = 'none';
