/** What `bpflab verify` is asked and how it says what the verifier found, of objects and of recorded requests. */
import { errnoName } from '../abi/errno.js';
import type { VerifyResult } from '../verifier/index.js';
import type { TargetOptions } from './target.js';

export interface VerifyOptions extends TargetOptions {
  readonly prog?: string;
  readonly raw?: string;
  readonly btfDir?: string;
  readonly kernel: string;
  readonly rt?: boolean;
  readonly logLevel?: number;
  readonly json?: boolean;
}

/** What is said of a program whatever it came from. */
export function answerOf(result: VerifyResult, timeMs: number): object {
  const { verdict, errno, message, insn, processed, totalStates, peakStates, stackDepth, log } = result;
  return {
    verdict,
    errno,
    message,
    ...(insn !== undefined && { insn }),
    processed,
    states: totalStates,
    peakStates,
    stackDepth,
    timeMs: Math.round(timeMs * 1000) / 1000,
    log,
  };
}

export function verdictText({ verdict, errno, message, insn, processed }: VerifyResult): string {
  switch (verdict) {
    case 'accept':
      return `accepted, ${processed} instructions processed`;
    case 'reject':
      return `rejected, ${errnoName(errno) ?? errno}${insn === undefined ? '' : ` at ${insn}`}: ${message}`;
    case 'unsupported':
      return `unsupported: ${message}`;
  }
}
