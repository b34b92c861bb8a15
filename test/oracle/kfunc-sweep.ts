/**
 * Kernel functions against the running kernel: which program type may call which, what each of them says of arguments that
 * are all zero, and the answers recorded in test/verifier/kfunc/cases.ts. Needs root, bpf(2), the kernel's BTF and the
 * reference tools.
 *
 *   tsx test/oracle/kfunc-sweep.ts [--print]     --print: the cases with the kernel's answers
 */
import { existsSync, readFileSync } from 'node:fs';
import { AttachType } from '../../src/abi/attach-types.js';
import { allKfuncs } from '../../src/abi/kfuncs.js';
import { ProgType, type ProgTypeName } from '../../src/abi/prog-types.js';
import { assemble, encodeInsns } from '../../src/isa/index.js';
import { Btf } from '../../src/object/btf/index.js';
import { requestFromJson, verify } from '../../src/verifier/index.js';
import { KFUNC_CASES } from '../verifier/kfunc/cases.js';
import { bind } from '../verifier/kfunc/kernel.js';
import { ask, type KernelAnswer, kernelRefusal } from './lib/kernel.js';
import { firstLineOf } from './verdicts-corpus.js';

const VMLINUX = '/sys/kernel/btf/vmlinux';
const refusal = existsSync(VMLINUX) ? kernelRefusal() : 'no kernel BTF';
if (refusal !== undefined) {
  console.log(`skipped: ${refusal}`);
  process.exit(0);
}
const btf = Btf.parse(new Uint8Array(readFileSync(VMLINUX)));
const id = (name: string): number => btf.findByName(name) ?? 0;

/** What a load needs besides its type. */
const SETUPS: Partial<Record<ProgTypeName, object>> = {
  cgroup_sock_addr: { expected_attach_type: AttachType.cgroup_inet4_bind },
  cgroup_sockopt: { expected_attach_type: AttachType.cgroup_getsockopt },
  sk_lookup: { expected_attach_type: AttachType.sk_lookup },
  netfilter: { expected_attach_type: AttachType.netfilter },
  syscall: { prog_flags: 16 },
  struct_ops: { attach_btf_id: id('tcp_congestion_ops') },
  tracing: { expected_attach_type: AttachType.trace_iter, attach_btf_id: id('bpf_iter_task') },
};
const LEFT_OUT = new Set(['unspec', 'lirc_mode2', 'ext', 'lsm']);

const hex = (text: string): string => Buffer.from(encodeInsns(assemble(text))).toString('hex');

interface Question {
  readonly name: string;
  readonly request: object;
}

function questions(): Question[] {
  const zeros = [0, 1, 2, 3, 4, 5].map((i) => `r${i} = 0`).join('\n');
  const list: Question[] = [];
  for (const { name } of allKfuncs()) {
    if (btf.findByName(name, 'func') === undefined) continue;
    for (const type of Object.keys(ProgType) as ProgTypeName[]) {
      if (LEFT_OUT.has(type)) continue;
      const insns = hex(bind(`${zeros}\nkcall ${name}\nr0 = 0\nexit`, btf));
      list.push({
        name: `${name} from ${type}`,
        request: { prog_type: type, insns, log_level: 1, ...SETUPS[type] },
      });
    }
  }
  for (const [name, type, text] of KFUNC_CASES) {
    const insns = hex(bind(text, btf));
    list.push({ name, request: { prog_type: type, insns, log_level: 1, ...SETUPS[type as ProgTypeName] } });
  }
  return list;
}

const list = questions();
const answers = ask(
  list.map(({ request }) => request),
  4000,
) as readonly (KernelAnswer & { readonly insn_processed?: number })[];
let differences = 0;
list.forEach(({ name, request }, i) => {
  const theirs = answers[i];
  if (theirs === undefined) return;
  const ours = verify(requestFromJson(request, () => undefined, { vmlinux: btf }));
  const line = theirs.verdict === 'accept' ? '' : firstLineOf(theirs.log ?? '');
  const theirText = `${theirs.verdict} ${theirs.errno ?? 0} ${theirs.insn_processed ?? 0} ${line}`;
  const ourText = `${ours.verdict} ${ours.errno} ${ours.processed} ${ours.message}`;
  const isCase = i >= list.length - KFUNC_CASES.length;
  if (process.argv.includes('--print') && isCase) {
    console.log(JSON.stringify([name, theirs.errno ?? 0, line, theirs.insn_processed ?? 0]));
  }
  if (theirText === ourText) return;
  differences++;
  console.log(`${name}\n  linux: ${theirText}\n  ours:  ${ourText}`);
});
console.log(`${list.length} loads, ${differences} differences`);
process.exit(differences === 0 ? 0 : 1);
