/**
 * What the rules of this folder ask about a program, and how they refuse: a program's environment is all that
 * Linux knows before it looks at the first instruction (`struct bpf_prog`, `bpf_prog_aux`, the loader's
 * capabilities, the kernel's configuration). Reference: Linux 6.18.
 */
import { Errno } from '../../abi/errno.js';

/** Parts of Linux that a kernel may be built or booted without. */
export type KernelFeature =
  /** CONFIG_BPF_KPROBE_OVERRIDE: `bpf_override_return`. */
  | 'kprobe_override'
  /** CONFIG_BPF_LIRC_MODE2: infrared decoders. */
  | 'lirc'
  /** Absent where lockdown forbids `bpf_probe_write_user`. */
  | 'probe_write_user'
  /** CONFIG_KALLSYMS_ALL: variables, too, have addresses that programs can name. */
  | 'kallsyms_all'
  /** CONFIG_PREEMPT_RT. */
  | 'preempt_rt';

/** The kernel's configuration. */
export interface EnvConfig {
  readonly features: ReadonlySet<KernelFeature>;
}

/** What the loader may do. */
export interface Capabilities {
  readonly bpf: boolean;
  readonly perfmon: boolean;
  readonly netAdmin: boolean;
}

/** What a BTF-attached program hangs on: `attach_btf_id` resolved. */
export interface AttachTarget {
  /** The kernel function's or type's name: `bpf_lsm_file_open`, `bpf_iter_tcp`, `btf_trace_sched_switch`. */
  readonly name: string;
  /** The function returns nothing. */
  readonly returnsVoid?: boolean;
  /** struct_ops: byte offset of the member that the program implements, and its name. */
  readonly member?: string;
}

export interface ProgEnv {
  /** `ProgType` number; for `ext` programs that of the program they replace, once known. */
  readonly type: number;
  /** `AttachType` number, after `fixupAttachType`. */
  readonly expectedAttachType: number;
  /** `BPF_F_SLEEPABLE`. */
  readonly sleepable: boolean;
  /** The licence is GPL compatible. */
  readonly gpl: boolean;
  readonly capabilities: Capabilities;
  readonly config: EnvConfig;
  readonly attach?: AttachTarget;
}

/**
 * What becomes of hash maps that allocate elements at run time, in programs that may interrupt the allocator:
 * `none`: allowed (6.1 and later); `perf_event`: refused there, inner maps told apart (up to 5.6); `warn`: as before,
 * other tracing programs are warned (5.7 to 6.0); `refuse`: and refused (the same with PREEMPT_RT); `rt`: refused
 * in all tracing programs with that message, and LPM tries, which always allocate, with them.
 */
export type PreallocPolicy = 'none' | 'perf_event' | 'warn' | 'refuse' | 'rt';

/** A rule says no: the errno that `bpf()` returns (positive) and the line of the log, empty where Linux says nothing. */
export interface Refusal {
  readonly errno: number;
  readonly message: string;
}

export const refuse = (message: string, errno: number = Errno.EINVAL): Refusal => ({ errno, message });

/** True for a refusal among other answers. */
export function isRefusal(answer: object): answer is Refusal {
  return 'errno' in answer && 'message' in answer;
}

export const FULL_CAPABILITIES: Capabilities = { bpf: true, perfmon: true, netAdmin: true };
export const NO_CAPABILITIES: Capabilities = { bpf: false, perfmon: false, netAdmin: false };

/** A kernel with everything built in, not PREEMPT_RT. */
export const FULL_CONFIG: EnvConfig = {
  features: new Set<KernelFeature>(['kprobe_override', 'lirc', 'probe_write_user', 'kallsyms_all']),
};

/** The 6.18 whose verdicts the recorded corpora hold: none of those. */
export const RECORDED_CONFIG: EnvConfig = { features: new Set<KernelFeature>() };

/** The same with PREEMPT_RT. */
export const RT_CONFIG: EnvConfig = { features: new Set<KernelFeature>(['preempt_rt']) };
