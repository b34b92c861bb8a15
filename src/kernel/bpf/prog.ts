/** A loaded program. Models `struct bpf_prog` (include/linux/bpf.h) as far as running needs it. */
import type { AttachType } from '../../abi/attach-types.js';
import type { ProgType } from '../../abi/prog-types.js';
import type { LineInfo } from '../../object/types.js';
import type { Program } from '../../vm/index.js';
import type { BpfMap } from './map.js';

export interface BpfProg {
  /** Kernel-wide number, from 1. */
  readonly id: number;
  readonly name: string;
  readonly type: ProgType;
  readonly expectedAttachType: AttachType;
  /** BPF_F_XDP_HAS_FRAGS, BPF_F_SLEEPABLE, …. */
  readonly progFlags: number;
  readonly program: Program;
  readonly maps: readonly BpfMap[];
  readonly lineInfo: readonly LineInfo[];
}

/** The source line that an instruction comes from, e.g. `xdp_counter.bpf.c:82`; undefined without line information. */
export function sourcePlace(lines: readonly LineInfo[], insn: number): string | undefined {
  let found: LineInfo | undefined;
  for (const line of lines) {
    if (line.insnOff > insn) break;
    found = line;
  }
  return found === undefined ? undefined : `${found.file.replace(/^(\.\/)+/, '')}:${found.line}`;
}
