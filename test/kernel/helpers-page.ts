/**
 * The page docs/helpers.md, made of the tables: which helpers and kernel functions the simulated kernel has. Its test compares
 * the page with this; to write it anew: npx tsx test/kernel/helpers-page.ts --write
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { AttachType } from '../../src/abi/attach-types.js';
import { helperById } from '../../src/abi/helpers.js';
import { allKfuncs, type KfuncInfo } from '../../src/abi/kfuncs.js';
import { ProgType, progTypeName } from '../../src/abi/prog-types.js';
import { helperResolver } from '../../src/kernel/bpf/helpers/index.js';
import { kfuncTable } from '../../src/kernel/bpf/kfuncs/index.js';
import { Kernel } from '../../src/kernel/kernel.js';
import { FULL_CAPABILITIES, FULL_CONFIG, helperVariant, type ProgEnv } from '../../src/verifier/env/index.js';

export const PAGE = new URL('../../docs/helpers.md', import.meta.url);

const LAST_ID = 211;
/** Attach types that decide whether a helper may be called. */
const ATTACH_TYPES: readonly number[] = [
  0,
  AttachType.cgroup_inet4_connect,
  AttachType.cgroup_setsockopt,
  AttachType.trace_fentry,
  AttachType.trace_iter,
  AttachType.lsm_mac,
  AttachType.lsm_cgroup,
];

/** What is not quite Linux, and why. */
const HELPER_NOTES: Readonly<Record<string, string>> = {
  bind: 'changes the address; ports in use are not looked at',
  bprm_opts_set: 'kept in the run',
  clone_redirect: 'the copy is kept for whoever runs the program',
  csum_level: 'no device has summed a packet up',
  csum_update: 'no device has summed a packet up',
  d_path: 'paths that the scene defines',
  fib_lookup: 'a table that the scene fills',
  get_branch_snapshot: 'branches that the event brings',
  get_cgroup_classid: 'no version 1 hierarchy: 0',
  get_hash_recalc: "the hash is not the kernel's, whose key is random",
  get_listener_sock: 'sockets that the scene opens',
  get_route_realm: 'no realms: 0',
  get_task_stack: "the current task's only",
  getsockopt: 'options are kept as they were set',
  ima_file_hash: 'nothing is measured: `EOPNOTSUPP`',
  ima_inode_hash: 'nothing is measured: `EOPNOTSUPP`',
  kallsyms_lookup_name: 'symbols that the simulation has given addresses',
  loop: "the engine's core calls back",
  lwt_push_encap: 'IP encapsulation; segment routing answers `EINVAL`',
  perf_event_read: 'how many samples are waiting',
  read_branch_records: 'branches that the event brings',
  send_signal: 'the signal is kept',
  send_signal_thread: 'the signal is kept',
  setsockopt: 'options are kept, and have no further effect',
  sk_assign: 'of tc: only at ingress',
  sk_lookup_tcp: 'sockets that the scene opens',
  sk_lookup_udp: 'sockets that the scene opens',
  skb_cgroup_classid: 'no version 1 hierarchy: 0',
  skb_get_xfrm_state: 'no packet comes through IPsec: `EINVAL`',
  skb_output: 'without the packet',
  skc_lookup_tcp: 'sockets that the scene opens',
  skc_to_mptcp_sock: 'there are none: null',
  skc_to_tcp_request_sock: 'there are none: null',
  skc_to_tcp_timewait_sock: 'there are none: null',
  snprintf_btf: "types of the target's BTF",
  sock_from_file: 'no file is a socket: null',
  spin_lock: 'interrupts off meanwhile',
  sys_bpf: 'map commands',
  task_pt_regs: 'all zero',
  tcp_check_syncookie: "the hash is not the kernel's, whose key is random",
  tcp_gen_syncookie: "the hash is not the kernel's, whose key is random",
  tcp_raw_check_syncookie_ipv4: "the hash is not the kernel's, whose key is random",
  tcp_raw_check_syncookie_ipv6: "the hash is not the kernel's, whose key is random",
  tcp_raw_gen_syncookie_ipv4: "the hash is not the kernel's, whose key is random",
  tcp_raw_gen_syncookie_ipv6: "the hash is not the kernel's, whose key is random",
  tcp_send_ack: 'nothing is sent',
};

/** A type by type answer: where Linux lets programs call the helper, and where it is there. */
function whereHelpersAre(): Map<string, { readonly there: string[]; readonly missing: string[] }> {
  const kernel = new Kernel();
  const sets = helperResolver(kernel, () => kernel.bpf);
  const found = new Map<string, { there: string[]; missing: string[] }>();
  for (let id = 1; id <= LAST_ID; id++) found.set(helperById(id)!.name, { there: [], missing: [] });
  for (const type of Object.values(ProgType)) {
    for (const expectedAttachType of ATTACH_TYPES) {
      const env: ProgEnv = {
        type,
        expectedAttachType,
        sleepable: true,
        gpl: true,
        capabilities: FULL_CAPABILITIES,
        config: FULL_CONFIG,
        attach: { name: 'tcp_congestion_ops' },
      };
      const resolve = sets({ env, name: 'page' });
      for (let id = 1; id <= LAST_ID; id++) {
        const { name } = helperById(id)!;
        if (helperVariant(env, name) === undefined) continue;
        const lists = found.get(name)!;
        const list = resolve('helper', id, 0) === undefined ? lists.missing : lists.there;
        if (!list.includes(progTypeName(type))) list.push(progTypeName(type));
      }
    }
  }
  return found;
}

function helperRows(): string[] {
  const where = whereHelpersAre();
  return [...where].map(([name, { there, missing }], i) => {
    const state =
      missing.length === 0
        ? there.length === 0
          ? 'nobody may call it'
          : 'yes'
        : there.length === 0
          ? 'no'
          : `not for ${missing.join(', ')}`;
    return `| ${i + 1} | \`${name}\` | ${state} | ${HELPER_NOTES[name] ?? ''} |`;
  });
}

function kfuncRows(): string[] {
  const there = new Set(Object.keys(kfuncTable(new Kernel())));
  const sets = new Map<string, KfuncInfo[]>();
  for (const info of allKfuncs()) sets.set(info.set, [...(sets.get(info.set) ?? []), info]);
  const names = (list: readonly KfuncInfo[]): string =>
    list.map(({ name }) => `\`${name}\``).join(' ') || '–';
  return [...sets].map(([set, list]) => {
    const have = list.filter(({ name }) => there.has(name));
    const lack = list.filter(({ name }) => !there.has(name));
    return `| ${set} | ${names(have)} | ${names(lack)} |`;
  });
}

export function helpersPage(): string {
  const rows = helperRows();
  const kfuncs = kfuncRows();
  return `# Helpers and kernel functions

Who may call what is Linux 6.18's (\`src/verifier/env/helper-sets.ts\`, \`src/abi/kfuncs.ts\`): a program that calls a helper its type may
not call, or one that is not there, is refused when it is loaded, with the helper's name (\`UNSUPPORTED_HELPER\`, \`UNSUPPORTED_KFUNC\`). Calls that
no path reaches do not count. This page is made from the tables (\`npx tsx test/kernel/helpers-page.ts --write\`), and a test compares it with them.

Programs that the verifier accepts run as Linux would run them: accesses to the context are converted (\`docs/engine.md\`), dead code is taken out,
loads through pointers to kernel structures give 0 where they may not read. What it does not accept runs too, as it is and with every access checked, unless the kernel
was made with \`verify: 'enforce'\`; \`verify: 'never'\` asks no verifier.

What helpers find in the simulated kernel is set up through \`stateOf(kernel)\`: \`sockets.add({ … })\`, \`fib.routes\`, \`fib.neighbours\`, \`fib.devices\`, \`makeCgroup(id, parent)\`,
\`cgroupOfTask\`, \`paths\`; what programs did is read there: \`signals\`, \`streams\`. What belongs to one run (attach cookie, arguments, the sysctl, TCP options) is a \`RunContext\`.

\`npx tsx test/oracle/helper-runs.ts\` runs 2,551 programs that call helpers and kernel functions, with arguments around their limits, in the running kernel and here: results and
packets are equal. A recording of them is replayed by \`test/kernel/helper-runs.test.ts\`.

## Helpers

| id | helper | there | note |
|---|---|---|---|
${rows.join('\n')}

## Kernel functions

By the set in which Linux registers them.

| set | there | not there |
|---|---|---|
${kfuncs.join('\n')}

\`bpf_obj_new\` and its kin take their sizes and special fields from the program's own BTF; lists and trees lie in memory as the kernel's do. Sets of CPUs have 64 bits. Iterators
over tasks and groups walk over what there is when they begin. \`bpf_cast_to_kern_ctx\` gives an image of \`struct sk_buff\` or \`struct xdp_buff\` with the common members.
\`bpf_throw\` ends the program with what it throws; callbacks for exceptions are not there, nor are connection tracking, cryptography, keys and sched_ext.
`;
}

if (process.argv[1]?.endsWith('helpers-page.ts') === true && process.argv.includes('--write')) {
  writeFileSync(PAGE, helpersPage());
  console.log(`wrote docs/helpers.md: ${readFileSync(PAGE).length} bytes`);
}
