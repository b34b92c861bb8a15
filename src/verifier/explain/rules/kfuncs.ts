/** Calls of kernel functions: who may call what, arguments, sections they open, objects in lists, trees and map values. */
import type { Rule } from '../types.js';
import { argument, argumentOf, nothing, says } from './common.js';

export const KFUNC_RULES: readonly Rule[] = [
  {
    id: 'kfunc-licence',
    title: 'Kernel function for programs under the GPL',
    pattern: /^cannot call kernel function from non-GPL compatible program/,
    text: 'Kernel functions may be called only by programs whose licence is compatible with the GPL.',
    what: says,
    mend: ['Declare the licence of the program, e.g. char _license[] SEC("license") = "GPL".'],
    follow: nothing,
  },
  {
    id: 'kfunc-missing',
    title: 'Kernel function that is not there',
    pattern:
      /^(?:invalid kernel function call not eliminated|kernel btf_id \d+ is not a function|invalid kernel function btf_id|kfunc offset > 0 without fd_array|negative offset disallowed for kernel module|metadata kfuncs require device-bound program)/,
    text: 'A kernel function is found by name in the types of the running kernel or of a loaded module. A weak one that is missing may stand in the program only where no path leads.',
    what: says,
    mend: [
      'Declare the function __weak and call it only behind bpf_ksym_exists.',
      'Load the module, or use a kernel whose configuration has the function.',
    ],
    follow: nothing,
  },
  {
    id: 'kfunc-sleeps',
    title: 'Call that may sleep where nothing may',
    pattern:
      /^(?:program must be sleepable to call sleepable kfunc (?<name>\w+)|kernel func (?<func>\w+) is sleepable within (?<where>.+)|sleepable helper (?<helper>\S+) in (?<region>.+) region)/,
    text: 'A function that may sleep can be called only in sleepable programs, and there not under RCU, with preemption or interrupts off, or under a lock.',
    what: says,
    mend: [
      'Load the program as sleepable (SEC("fentry.s/…"), SEC("lsm.s/…"), SEC("syscall"), …).',
      'End the section before the call.',
    ],
    follow: nothing,
  },
  {
    id: 'kfunc-argument',
    title: 'Argument that a kernel function does not take',
    pattern:
      /^(?:R(?<reg>\d+) (?:must be a known constant|is not a const)$|arg#?(?<arg>\d+) (?:expected pointer to (?:ctx, but got|func)|pointer type .* must point to|is .* expected .* or socket|doesn't point to a (?:const string|map value)))/,
    text: 'The prototype of a kernel function says what each argument is: a number, a number known at load time, the context, a structure of the kernel, or memory that holds nothing but numbers.',
    what: (f) => {
      const regno = argumentOf(f);
      return regno === undefined ? says(f) : `${says(f)} ${f.is(regno)}.`;
    },
    mend: ["Compare the call with the function's prototype in vmlinux.h."],
    follow: argument,
  },
  {
    id: 'rcu-section',
    title: 'RCU read section not opened, or not closed',
    pattern:
      /^(?:nested rcu read lock|unmatched rcu read unlock|kernel func (?<func>\w+) requires RCU critical section|expected an RCU CS when using (?<name>\w+)|Calling bpf_rcu_read_)/,
    text: 'bpf_rcu_read_lock and bpf_rcu_read_unlock pair up on every path and do not nest; what RCU protects can be used only in between. Programs that cannot sleep run in such a section as it is.',
    what: says,
    mend: [
      'Call bpf_rcu_read_lock before, and bpf_rcu_read_unlock after the last use of what it protects, on every path.',
    ],
    follow: nothing,
  },
  {
    id: 'preempt-section',
    title: 'Preemption allowed again without having been off',
    pattern: /^unmatched attempt to enable preemption/,
    text: 'bpf_preempt_disable and bpf_preempt_enable pair up on every path.',
    what: says,
    mend: ['Call bpf_preempt_disable first, on every path that comes here.'],
    follow: nothing,
  },
  {
    id: 'irq-flags',
    title: 'Interrupt flags saved or restored wrongly',
    pattern:
      /^(?:expected (?:an )?(?:un)?initialized irq flag as arg#(?<arg>\d+)|cannot restore irq state out of order|irq flag acquired by|arg#(?<place>\d+) doesn't point to an irq flag|cannot pass in irq_flag)/,
    text: 'Interrupt flags live in a variable on the stack, are saved once, not copied, and restored in the reverse order, with the function that belongs to the one that saved them.',
    what: says,
    mend: ['Restore with the variable that the flags were saved to, innermost first, on every path.'],
    follow: argument,
  },
  {
    id: 'graph-lock',
    title: 'List or tree without its lock',
    pattern:
      /^(?:bpf_spin_lock at off=(?<off>-?\d+) must be held for (?<root>\w+)|held lock and object are not in the same allocation|can't spin_\{lock,unlock\} in rbtree cb)/,
    text: 'Lists and trees are changed and walked only while the bpf_spin_lock beside their head is held: the one in the same map value, object or data section. The comparison that bpf_rbtree_add calls runs under it.',
    what: says,
    mend: ['Take the lock that lies beside the head, and no other, around the call.'],
  },
  {
    id: 'graph-node',
    title: 'Object that does not belong into the list or tree',
    pattern:
      /^(?:operation on (?<root>\w+) expects arg#1|arg#(?<at>\d+) offset=|\w+ not found at offset=|allocated object must be referenced|arg#(?<arg>\d+) (?:expected pointer to (?:map value or )?allocated object|is neither owning or non-owning ref|expected for bpf_)|\w+ can only take non-owning or refcounted|\w+ not allowed in rbtree cb)/,
    text: 'A list or tree holds objects of one type, linked by one member (__contains(type, member)). What is inserted is owned by the program: made by bpf_obj_new or taken out before; an insertion gives it away.',
    what: says,
    mend: [
      'Pass the address of the member that the head names, of an object that the program still owns.',
      'After an insertion, use bpf_refcount_acquire beforehand to keep a reference.',
    ],
    follow: argument,
  },
  {
    id: 'kptr-access',
    title: 'Kernel pointer in a map value used wrongly',
    pattern:
      /^(?:(?:percpu_)?kptr (?:cannot be accessed|access|in map can)|uptr (?:cannot be accessed|access)|invalid kptr access, R(?<reg>\d+)|store to (?:referenced kptr|uptr) disallowed|BPF_ST imm must be 0 when storing to kptr|R(?<dest>\d+) has no valid kptr|off=\d+ (?:doesn't point to kptr|kptr isn't referenced kptr))/,
    text: 'A kernel pointer in a map value is read as a whole, and changed only by bpf_kptr_xchg, which takes a referenced pointer of the same type and gives back what was there. Untrusted ones may also be stored plainly.',
    what: says,
    mend: [
      'Load the pointer whole, at its own offset, and compare it with NULL.',
      'Exchange referenced pointers with bpf_kptr_xchg, and release what comes back.',
    ],
  },
  {
    id: 'allocated-type',
    title: 'Type that no object can be made of',
    pattern:
      /^(?:bpf_obj_new\/bpf_percpu_obj_new|bpf_percpu_obj_new type|local type ID argument|arg#(?<arg>\d+) doesn't point to a type with bpf_refcount field)/,
    text: "bpf_obj_new makes objects of a structure in the program's own BTF; per-CPU ones hold only numbers and at most 512 bytes; references are counted where the structure has a bpf_refcount.",
    what: says,
    mend: ['Pass bpf_obj_new a structure type, and compile with BTF (-g).'],
    follow: nothing,
  },
  {
    id: 'lock-order',
    title: 'Locks taken twice or given back out of order',
    pattern:
      /^(?:Acquiring the same lock again, AA deadlock detected|bpf_(?:res_)?spin_unlock cannot be out of order|unexpected __bpf_trap)/,
    text: 'Resilient locks may nest, each once, and are given back in the reverse order.',
    what: says,
    mend: ['Give back the lock that was taken last first.'],
    follow: nothing,
  },
];
