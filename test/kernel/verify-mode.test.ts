/** What the verifier's word does to a program that is loaded: refused, run even so with the reason at hand, or not asked. */
import { describe, expect, test } from '@jest/globals';
import { ProgType } from '../../src/abi/prog-types.js';
import { assemble } from '../../src/isa/index.js';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel, type KernelOptions } from '../../src/kernel/kernel.js';

/** 6.18 refuses it by a rule that other releases may not have. */
const ENDLESS = 'r0 = 0\nr2 = *(u32 *)(r1 + 12)\nagain:\nif r2 == 5 goto again\nexit\n';
/** Every release refuses it. */
const UNINITIALISED = 'r0 = r3\nexit\n';
const GOOD = 'r0 = 2\nexit\n';

function load(asm: string, options: KernelOptions) {
  const kernel = new Kernel({ cpus: 1, ...options });
  const source = { name: 'prog', section: '', type: ProgType.xdp, expectedAttachType: 0 as const };
  const insns = assemble(asm);
  const rest = { progFlags: 0, autoload: true, insns, subProgs: [], funcInfo: [], lineInfo: [] };
  return { kernel, prog: kernel.bpf.progLoad({ ...source, ...rest }, []) };
}

describe.each(['6.18', '5.7', '5.6-rt'])('on %s', (profile) => {
  test.each([ENDLESS, UNINITIALISED])('what is refused is not loaded where that is enforced (%#)', (asm) => {
    expect(() => load(asm, { profile, verify: 'enforce' })).toThrow(/infinite loop|!read_ok/);
  });

  test.each([ENDLESS, UNINITIALISED])('it says why it would have been, and runs as it is (%#)', (asm) => {
    const { prog } = load(asm, { profile });
    expect(prog.verified).toBe(false);
    expect(prog.refusal).toMatch(/^the verifier of \S+ refuses it: .+ \(insn \d\)$/);
    expect(load(asm, { profile, verify: 'never' }).prog.refusal).toBeUndefined();
  });

  test('what is accepted has no reason to be refused', () => {
    const { kernel, prog } = load(GOOD, { profile, verify: 'enforce' });
    expect(prog).toMatchObject({ verified: true });
    expect(prog.refusal).toBeUndefined();
    expect(testRun(kernel, prog, { dataIn: new Uint8Array(14) }).retval).toBe(2);
  });
});
