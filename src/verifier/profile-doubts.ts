/**
 * Where the verdict of an older release may differ from 6.18's. A refusal holds when its rule is as old as verifiers are
 * and rests on values: what 6.18 cannot prove, releases that knew less could not. An acceptance holds for programs so
 * plain that nothing that was judged otherwise can matter; whatever is not known to be plain is a doubt.
 */
import { ProgType, progTypeName } from '../abi/prog-types.js';
import { compareVersions, type KernelVersion } from '../abi/verifier-since.js';
import * as C from '../isa/constants.js';
import type { Insn } from '../isa/insn.js';
import { lacksCapability } from './capabilities.js';
import type { Demand } from './profile-demands.js';
import { PlainWalk } from './profile-plain.js';
import type { VerifyRequest, VerifyResult } from './types.js';

/** Messages of rules that every release since 4.19 has. */
const LASTING_RULES: readonly RegExp[] = [
  /^R\d+ !read_ok$/,
  /^R\d+ invalid mem access '(scalar|map_value_or_null|sock_or_null|mem_or_null)'$/,
  /^unreachable insn \d+$/,
  /^jump out of range from insn \d+ to \d+$/,
  /^last insn is not an exit or jmp$/,
  /^invalid access to (packet|map value), /,
  /^invalid bpf_context access off=/,
  /^invalid (write|read from) stack/,
  /^invalid (read|write) (from|to) stack R\d+ off=/,
  /^Unreleased reference id=/,
  /^R\d+ (min|max) value is (negative|outside of the allowed memory range)/,
  /^R\d+ unbounded memory access/,
  /^R\d+ pointer arithmetic on \S+ prohibited/,
  /^cannot call GPL-restricted function from non-GPL compatible program$/,
  /^cannot pass map_type \d+ into func /,
  /^frame pointer is read only$/,
  /^unknown opcode [0-9a-f]{2}$/,
  /^div by zero$/,
  /^invalid shift \d+$/,
  /^combined stack size of \d+ calls is \d+\. Too large$/,
  /^At program exit the register R0 has value no value/,
  // only profiles that have the ban ask
  /^bpf_timer cannot be used for PREEMPT_RT/,
];

/** True for the message of a rule that no release since 4.19 was without. */
export function isLastingRule(message: string): boolean {
  return LASTING_RULES.some((rule) => rule.test(message));
}

/** Types whose return value and attach type no release looks at. */
const PLAIN_TYPES: ReadonlySet<number> = new Set([
  ProgType.socket_filter,
  ProgType.kprobe,
  ProgType.tracepoint,
  ProgType.perf_event,
  ProgType.raw_tracepoint,
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.xdp,
]);

/** Paths cost older releases more, which prune less: well below any of their limits nothing can come of it. */
const MODEST_COST = 10_000;

const isBackward = ({ code, off, imm }: Insn): boolean => {
  const kind = code & 0x07;
  if (kind !== C.BPF_JMP && kind !== C.BPF_JMP32) return false;
  const op = code & 0xf0;
  if (op === C.BPF_CALL || op === C.BPF_EXIT) return false;
  return (kind === C.BPF_JMP32 && op === C.BPF_JA ? imm : off) < 0;
};

/**
 * The first reason why the release may refuse what 6.18 accepted, to follow `accepts it, but`; undefined where there is none.
 * `missing`: what the release does not have, in instructions that no path comes by.
 */
export function firstDoubt(
  version: KernelVersion,
  request: VerifyRequest,
  result: Pick<VerifyResult, 'reached' | 'processed'>,
  missing: readonly Demand[],
): string | undefined {
  const { insns, progType } = request;
  if (lacksCapability(request))
    return 'what a program may do whose loader lacks capabilities is not recorded release by release';
  const [gap] = missing;
  if (gap !== undefined) return `insn ${gap.insn} needs ${gap.what}; 6.18 knows that it is never reached`;
  if (!PLAIN_TYPES.has(progType))
    return `what ${progTypeName(progType)} programs may do is not recorded release by release`;
  if (result.processed > MODEST_COST)
    return `it takes ${result.processed} instructions to verify, and older releases need more`;
  for (let i = 0; i < insns.length; i++) {
    if (result.reached[i] !== 1)
      return `only a release that knows as much sees that insn ${i} is never reached`;
    if (isBackward(insns[i]!)) return `insn ${i} jumps back: loops were judged otherwise`;
    if (insns[i]!.code === C.LD_IMM64) i++;
  }
  const uninitAllowed = compareVersions(version, '6.3') >= 0;
  return new PlainWalk(request, { uninitAllowed }).firstDoubt();
}
