/**
 * BPF_PROG_TEST_RUN: a program runs on a packet or context that the caller gives. Models net/bpf/test_run.c of Linux 6.18,
 * and goes on where Linux has no test run for a type: such programs get the context bytes as they are.
 */
import { ProgType, progTypeName } from '../../abi/prog-types.js';
import { ProgramFaultError, SyscallError, UnsupportedError } from '../errors.js';
import type { Machine } from '../machine.js';
import { testRunSkb } from '../net/test-run-skb.js';
import { testRunXdp } from '../net/test-run-xdp.js';
import { withRun } from './helpers/state.js';
import type { BpfProg } from './prog.js';
import { releaseAllLocks } from './spin-lock.js';
import { testRunContext, testRunSamples } from './test-run-context.js';
import { type RunningAttr, testRunFlowDissector, testRunSkLookup } from './test-run-special.js';
import type { TestRunAttr, TestRunResult } from './test-run-types.js';

const SKB_TYPES: readonly ProgType[] = [
  ProgType.socket_filter,
  ProgType.sched_cls,
  ProgType.sched_act,
  ProgType.cgroup_skb,
  ProgType.lwt_in,
  ProgType.lwt_out,
  ProgType.lwt_xmit,
  ProgType.lwt_seg6local,
  ProgType.sk_skb,
];

/** Whether test runs of a type are given a packet that begins with an Ethernet header. */
export function takesPackets(type: ProgType): boolean {
  return type === ProgType.xdp || SKB_TYPES.includes(type);
}

/** Types whose context is something that only a kernel around them can make up. */
const REFUSED: readonly ProgType[] = [ProgType.unspec, ProgType.struct_ops, ProgType.ext, ProgType.netfilter];

/** Throws `SyscallError` for input that Linux refuses, `ProgramFaultError` when the program is stopped. */
export function testRun(kernel: Machine, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const { type } = prog;
  if (REFUSED.includes(type)) {
    const what = `running programs of type ${progTypeName(type)} is not supported`;
    throw new UnsupportedError('UNSUPPORTED_PROG_TYPE', what, { symbol: prog.name });
  }
  const run = attr.run ?? {};
  return restoring(kernel, () => withRun(kernel, run, () => runOfType(kernel, prog, { ...attr, run })));
}

function runOfType(kernel: Machine, prog: BpfProg, attr: RunningAttr): TestRunResult {
  const { type } = prog;
  if (type === ProgType.xdp) return clamped(testRunXdp(kernel, prog, attr), prog, attr);
  if (SKB_TYPES.includes(type)) return clamped(testRunSkb(kernel, prog, attr), prog, attr);
  switch (type) {
    case ProgType.flow_dissector:
      return testRunFlowDissector(kernel, prog, attr);
    case ProgType.sk_lookup:
      return testRunSkLookup(kernel, prog, attr);
    case ProgType.lirc_mode2:
      return testRunSamples(kernel, prog, attr);
    default:
      return testRunContext(kernel, prog, attr);
  }
}

/** A program that is stopped half-way leaves what it holds: locks, preemption and interrupts off, RCU. */
function restoring<T>(kernel: Machine, body: () => T): T {
  const { sched } = kernel;
  const { current, here } = sched;
  const { rcuDepth } = current;
  const { preemptCount, irqsDisabled } = here;
  try {
    return body();
  } catch (error) {
    if (!(error instanceof ProgramFaultError)) throw error;
    releaseAllLocks(kernel);
    current.rcuDepth = rcuDepth;
    while (here.preemptCount > preemptCount) sched.preemptEnable();
    if (here.irqsDisabled && !irqsDisabled) sched.irqRestore(irqsDisabled);
    throw error;
  }
}

function clamped(result: TestRunResult, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const room = attr.dataSizeOut;
  const size = result.dataOut?.length ?? 0;
  if (room === undefined || size <= room) return result;
  throw SyscallError.of('ENOSPC', `the packet has ${size} bytes afterwards, there is room for ${room}`, {
    symbol: prog.name,
  });
}
