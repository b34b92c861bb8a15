/** One request, the kernel's answer, ours: what differs. */

import { Btf } from '../../src/object/btf/index.js';
import { verify } from '../../src/verifier/index.js';
import { requestFromJson } from '../../src/verifier/raw-request.js';
import type { VerifyPolicy, VerifyResult } from '../../src/verifier/types.js';
import type { PipeAnswer } from './lib/kernel-pipe.js';
import { vmlinux } from './lib/vmlinux.js';
import { firstLineOf } from './verdicts-corpus.js';

const parsed = new Map<string, Btf>();

/** BTF given in hex. */
export function btfOf(hex: string): Btf {
  const known = parsed.get(hex) ?? Btf.parse(new Uint8Array(Buffer.from(hex, 'hex')));
  parsed.set(hex, known);
  return known;
}

export type Difference =
  | 'agree'
  | 'unsupported'
  | 'crash'
  | 'we accept, Linux rejects'
  | 'we reject, Linux accepts'
  | 'first line'
  | 'errno'
  | 'processed'
  | 'states'
  | 'stack depth';

export interface Judged {
  readonly difference: Difference;
  /** Both sides in two lines. */
  readonly text: string;
  readonly message: string;
}

/** 4: statistics, and the reason of a refusal, without the instructions. */
export const LOG_LEVEL = 4;

/** The kernel's types, where there are any. */
export function kernelPolicy(): VerifyPolicy {
  const btf = vmlinux();
  return btf === undefined ? {} : { vmlinux: btf };
}

const results = new WeakMap<object, VerifyResult | Error>();

/** Our answer to a request, or what it threw; asked again, the same. */
function ourResult(request: object, policy = kernelPolicy()): VerifyResult | Error {
  let result = results.get(request);
  if (result === undefined) {
    try {
      result = verify(requestFromJson({ ...request, log_level: LOG_LEVEL }, btfOf, policy));
    } catch (error) {
      result = error instanceof Error ? error : new Error(String(error));
    }
    results.set(request, result);
  }
  return result;
}

/** Bytes of stack that each function uses (`16+32`); empty where we refuse the program. */
export function stackDepthsOf(request: object): string {
  const result = ourResult(request);
  return result instanceof Error || result.verdict !== 'accept' ? '' : result.stackDepth;
}

/**
 * Whether a program would bring the kernel to its limit of queued paths. Linux 6.18.44 dereferences a null pointer when
 * that happens at an AND or OR that splits a state (`maybe_fork_scalars`): such a program is never asked about.
 */
export function overflowsQueue(request: object, policy?: VerifyPolicy): boolean {
  const result = ourResult(request, policy);
  return !(result instanceof Error) && result.message.startsWith('The sequence of ');
}

export function judge(request: object, answer: PipeAnswer, policy?: VerifyPolicy): Judged {
  const ours = ourResult(request, policy);
  if (ours instanceof Error) {
    const stack = ours.stack ?? ours.message;
    return {
      difference: 'crash',
      text: `  ours:  ${stack.split('\n').slice(0, 4).join(' | ')}`,
      message: '',
    };
  }
  // some reasons end without a line's end
  const log = (answer.log ?? '').replace(/verification time \d+ usec/, '');
  const line = answer.verdict === 'accept' ? '' : firstLineOf(log);
  const text =
    `  linux: ${answer.verdict} ${answer.errno} ${answer.insn_processed} ${answer.total_states}/${answer.peak_states} ${answer.stack_depth} ${line}\n` +
    `  ours:  ${ours.verdict} ${ours.errno} ${ours.processed} ${ours.totalStates}/${ours.peakStates} ${ours.stackDepth} ${ours.message}`;
  return { difference: differenceOf(ours, answer, line), text, message: ours.message };
}

/** Linux counts this instruction after its rewriting, which inlines helpers and converts context accesses. */
const comparable = (line: string): string => line.replace(/(?<=No program to jit at insn )\d+/, 'N');

function differenceOf(ours: VerifyResult, answer: PipeAnswer, line: string): Difference {
  if (ours.verdict === 'unsupported') return 'unsupported';
  if (ours.verdict !== answer.verdict) {
    return ours.verdict === 'accept' ? 'we accept, Linux rejects' : 'we reject, Linux accepts';
  }
  if (comparable(ours.message) !== comparable(line)) return 'first line';
  if (ours.errno !== answer.errno) return 'errno';
  // what is refused before the first instruction leaves no figures
  if (answer.insn_processed === undefined) return 'agree';
  if (ours.processed !== answer.insn_processed) return 'processed';
  if (ours.totalStates !== answer.total_states || ours.peakStates !== answer.peak_states) return 'states';
  if (ours.verdict === 'accept' && ours.stackDepth !== answer.stack_depth) return 'stack depth';
  return 'agree';
}
