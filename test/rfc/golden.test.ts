/**
 * The regression that merging the series brought to user probes, as the selftests of the time met it: the kernel's log line for
 * line (the mail that reported it: bpf-next, February 2020), and in the kernel with the fix nothing.
 */
import { describe, expect, test } from '@jest/globals';
import { PATCHES, runCase } from '../../src/rfc/index.js';
import { LIBRARY } from './library.js';

const GOLDEN = [
  'BUG: assuming atomic context at kernel/trace/bpf_trace.c:86',
  'in_atomic(): 0, irqs_disabled(): 0, pid: 2348, name: test_progs',
  'CPU: 1 PID: 2348 Comm: test_progs',
  'Call Trace:',
  ' trace_call_bpf',
  ' __uprobe_perf_func',
  ' uprobe_dispatcher',
  ' uprobe_notify_resume',
];

describe('5.7 and user probes', () => {
  const spec = PATCHES[9]!.cases.find(({ profile }) => profile === '5.7')!;
  const [without, withFix] = runCase(LIBRARY, spec);

  test('trace_call_bpf asks for atomic context where there is none', () => {
    expect(without.report.console.map((line) => line.replace(/^\[ *\d+\.\d{6}\] /, ''))).toEqual(GOLDEN);
    expect(without.result.programs.map(({ runs }) => runs)).toEqual([1]);
  });

  test('with preemption off around the programs it says nothing', () => {
    expect(withFix.report.console).toEqual([]);
    expect(withFix.result.programs.map(({ runs }) => runs)).toEqual([1]);
  });
});
