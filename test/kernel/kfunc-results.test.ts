/** What kernel functions leave in r0: an `int` fills the lower half and clears the upper one, as on x86-64. Random programs found it. */

import { expect, test } from '@jest/globals';
import { testRun } from '../../src/kernel/bpf/test-run.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { Btf } from '../../src/object/btf/btf.js';
import { encodeBtf } from '../../src/object/btf/encode.js';
import { intType } from '../support/btf-types.js';
import { load } from './helpers-support.js';

const E2BIG = 7;
const FUNC = 3;

/** `int bpf_iter_num_new(void)`: parameters do not matter where no verifier looks. */
const BTF = Btf.parse(
  encodeBtf([
    intType(),
    { kind: 'func_proto', name: '', type: 1, params: [] },
    { kind: 'func', name: 'bpf_iter_num_new', type: 2, linkage: 0 },
  ]),
);

test('a negative int', () => {
  const kernel = new Kernel({ verify: 'never', btf: BTF });
  const call = `r1 = r10\nr1 += -8\nr2 = 0\nr3 = 8388609\ncall kfunc ${FUNC}`;
  const prog = load(kernel, 'sched_cls', `${call}\nexit`);
  expect(testRun(kernel, prog, { dataIn: new Uint8Array(64) }).r0).toBe(BigInt(2 ** 32 - E2BIG));
});
