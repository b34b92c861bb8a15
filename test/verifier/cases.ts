/**
 * Small programs and what Linux 6.18 on x86-64 says of them: errno, first line, instructions processed, states in all and at
 * most, stack depths. Recorded from a running kernel; maps: an array of two, an array of one, a hash, all of 16 bytes a value.
 */
export type Case = readonly [
  name: string,
  type: string,
  text: string,
  linux: readonly [
    errno: number,
    message: string,
    processed: number,
    total: number,
    peak: number,
    stack: string,
  ],
];

export const CASES: readonly Case[] = [
  // control flow
  [
    'an instruction that no path reaches',
    'socket_filter',
    'r0 = 0; goto out; r0 = 1; out: exit',
    [22, 'unreachable insn 2', 0, 0, 0, '0'],
  ],
  [
    'a jump out of the program',
    'socket_filter',
    'r0 = 0; if r0 == 0 goto +9; exit',
    [22, 'jump out of range from insn 1 to 11', 0, 0, 0, '0'],
  ],
  ['falling off the end', 'socket_filter', 'r0 = 0', [22, 'last insn is not an exit or jmp', 0, 0, 0, '0']],
  [
    'an endless loop',
    'socket_filter',
    'r0 = 0; back: goto back',
    [22, 'infinite loop detected at insn 1', 9, 1, 1, '0'],
  ],
  [
    'a bounded loop',
    'socket_filter',
    'r0 = 0; back: r0 += 1; if r0 < 10 goto back; r0 = 0; exit',
    [0, '', 23, 2, 2, '0'],
  ],
  [
    'a loop that repeats itself',
    'socket_filter',
    'r0 = 0; r1 = 1; back: r1 = 1; if r1 == 1 goto back; exit',
    [22, 'infinite loop detected at insn 3', 10, 1, 1, '0'],
  ],
  [
    'may_goto ends an endless loop',
    'socket_filter',
    'r0 = 0; back: may_goto out; goto back; out: exit',
    [0, '', 5, 1, 2, '16'],
  ],
  [
    'a jump into a 64-bit load',
    'socket_filter',
    'goto +1; r0 = 1 ll; exit',
    [22, 'unreachable insn 1', 0, 0, 0, '0'],
  ],
  [
    'falling from one function into the next',
    'socket_filter',
    'call f; r0 = 0; exit; f: r0 = 1',
    [22, 'last insn is not an exit or jmp', 0, 0, 0, '0+0'],
  ],
  [
    'the last function has no exit',
    'socket_filter',
    'call f; exit; f: r0 = 0; r0 = 1',
    [22, 'last insn is not an exit or jmp', 0, 0, 0, '0+0'],
  ],
  // registers
  ['a register that was never written', 'socket_filter', 'r0 = r2; exit', [13, 'R2 !read_ok', 1, 0, 0, '0']],
  [
    'writing to the frame pointer',
    'socket_filter',
    'r10 = 0; exit',
    [13, 'frame pointer is read only', 1, 0, 0, '0'],
  ],
  ['nothing returned', 'socket_filter', 'exit', [13, 'R0 !read_ok', 1, 0, 0, '0']],
  [
    'calls clobber r1 to r5',
    'socket_filter',
    'r6 = r1; call 7; r0 = r1; exit',
    [13, 'R1 !read_ok', 3, 0, 0, '0'],
  ],
  [
    'a pointer returned is a leak only without privileges',
    'socket_filter',
    'r0 = r10; exit',
    [0, '', 2, 0, 0, '0'],
  ],
  [
    'a division by the constant zero',
    'socket_filter',
    'r0 = 1; r0 /= 0; exit',
    [22, 'div by zero', 2, 0, 0, '0'],
  ],
  ['a shift by 64', 'socket_filter', 'r0 = 1; r0 <<= 64; exit', [22, 'invalid shift 64', 2, 0, 0, '0']],
  [
    'a pointer multiplied',
    'socket_filter',
    'r1 = r10; r1 *= 2; r0 = 0; exit',
    [13, 'R1 pointer arithmetic with *= operator prohibited', 2, 0, 0, '0'],
  ],
  [
    '32-bit arithmetic on a pointer',
    'socket_filter',
    'r1 = r10; w1 += 4; r0 = 0; exit',
    [13, 'R1 32-bit pointer arithmetic prohibited', 2, 0, 0, '0'],
  ],
  // stack
  [
    "below the stack's 512 bytes",
    'socket_filter',
    'r1 = 0; *(u64 *)(r10 - 520) = r1; r0 = 0; exit',
    [13, 'invalid write to stack R10 off=-520 size=8', 2, 0, 0, '0'],
  ],
  [
    'a slot that was never written, with privileges',
    'socket_filter',
    'r0 = *(u64 *)(r10 - 8); r0 = 0; exit',
    [0, '', 3, 0, 0, '8'],
  ],
  [
    'misaligned spill of a pointer',
    'socket_filter',
    '*(u64 *)(r10 - 12) = r1; r0 = 0; exit',
    [13, 'misaligned stack access off 0+0+-12 size 8', 1, 0, 0, '0'],
  ],
  [
    'part of a spilled pointer',
    'socket_filter',
    '*(u64 *)(r10 - 8) = r1; r0 = *(u32 *)(r10 - 8); r0 = 0; exit',
    [13, 'invalid size of register fill', 2, 0, 0, '8'],
  ],
  [
    'half of a spilled pointer overwritten',
    'socket_filter',
    '*(u64 *)(r10 - 8) = r1; r2 = 0; *(u32 *)(r10 - 8) = r2; r0 = *(u64 *)(r10 - 8); r0 = *(u32 *)(r0 + 0); exit',
    [13, "R0 invalid mem access 'scalar'", 5, 0, 0, '8'],
  ],
  [
    'spilled constants keep their value',
    'socket_filter',
    'r1 = 5; *(u64 *)(r10 - 8) = r1; r2 = *(u64 *)(r10 - 8); r3 = r10; r2 += -13; r3 += r2; *(u8 *)(r3 + 0) = r1; r0 = 0; exit',
    [0, '', 9, 0, 0, '8'],
  ],
  [
    'variable offset within the stack',
    'socket_filter',
    'r2 = *(u32 *)(r1 + 0); r2 &= 7; r3 = r10; r3 += r2; r3 += -16; r4 = 0; *(u8 *)(r3 + 0) = r4; r0 = 0; exit',
    [0, '', 9, 0, 0, '16'],
  ],
  [
    'unbounded variable offset',
    'socket_filter',
    'r2 = *(u32 *)(r1 + 0); r3 = r10; r3 += r2; r4 = 0; *(u8 *)(r3 - 8) = r4; r0 = 0; exit',
    [13, 'invalid unbounded variable-offset write to stack R3', 5, 0, 0, '0'],
  ],
  [
    'too deep over a call',
    'socket_filter',
    'r1 = 0; *(u64 *)(r10 - 256) = r1; call f; r0 = 0; exit; f: r2 = 0; *(u64 *)(r10 - 264) = r2; r0 = 0; exit',
    [13, 'combined stack size of 2 calls is 528. Too large', 9, 1, 1, '256+264'],
  ],
  [
    "writing the caller's stack",
    'socket_filter',
    'r1 = r10; r1 += -8; call f; r0 = *(u64 *)(r10 - 8); r0 = 0; exit; f: r2 = 7; *(u64 *)(r1 + 0) = r2; r0 = 0; exit',
    [0, '', 10, 1, 1, '8+0'],
  ],
  // context
  [
    'beyond the context',
    'xdp',
    'r0 = *(u32 *)(r1 + 64); exit',
    [13, 'invalid bpf_context access off=64 size=4', 1, 0, 0, '0'],
  ],
  [
    'a misaligned field',
    'xdp',
    'r0 = *(u32 *)(r1 + 2); exit',
    [13, 'invalid bpf_context access off=2 size=4', 1, 0, 0, '0'],
  ],
  [
    'writing a field that is read only',
    'xdp',
    'r2 = 0; *(u32 *)(r1 + 0) = r2; r0 = 0; exit',
    [13, 'invalid bpf_context access off=0 size=4', 2, 0, 0, '0'],
  ],
  [
    'a context with an offset',
    'socket_filter',
    'r1 += 4; r0 = *(u32 *)(r1 + 0); r0 = 0; exit',
    [13, 'dereference of modified ctx ptr R1 off=4 disallowed', 2, 0, 0, '0'],
  ],
  // packet
  [
    'without a check',
    'xdp',
    'r2 = *(u32 *)(r1 + 0); r0 = *(u8 *)(r2 + 0); exit',
    [13, 'invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)', 2, 0, 0, '0'],
  ],
  [
    'after a check',
    'xdp',
    'r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 14; if r4 > r3 goto out; r0 = *(u8 *)(r2 + 13); out: r0 = 2; exit',
    [0, '', 10, 1, 1, '0'],
  ],
  [
    'one byte beyond the check',
    'xdp',
    'r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 14; if r4 > r3 goto out; r0 = *(u8 *)(r2 + 14); out: r0 = 2; exit',
    [13, 'invalid access to packet, off=14 size=1, R2(id=0,off=14,r=14)', 6, 0, 0, '0'],
  ],
  [
    'a variable offset, bounded and checked',
    'xdp',
    'r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r5 = *(u32 *)(r1 + 12); r5 &= 255; r2 += r5; r4 = r2; r4 += 4; if r4 > r3 goto out; r0 = *(u32 *)(r2 + 0); out: r0 = 2; exit',
    [0, '', 13, 1, 1, '0'],
  ],
  [
    'adding the end pointer',
    'xdp',
    'r3 = *(u32 *)(r1 + 4); r3 += 4; r0 = 2; exit',
    [13, 'R3 pointer arithmetic on pkt_end prohibited', 2, 0, 0, '0'],
  ],
  [
    'a helper that moves the packet',
    'xdp',
    'r6 = r1; r7 = *(u32 *)(r6 + 0); r3 = *(u32 *)(r6 + 4); r4 = r7; r4 += 14; if r4 > r3 goto out; r1 = r6; r2 = 0; call 44; r0 = *(u8 *)(r7 + 0); out: r0 = 2; exit',
    [13, "R7 invalid mem access 'scalar'", 10, 1, 1, '0'],
  ],
  // maps
  [
    'an element of an array that is certainly there',
    'socket_filter',
    'r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; r0 = *(u64 *)(r0 + 0); exit',
    [0, '', 8, 0, 0, '8'],
  ],
  [
    'a value that is checked',
    'socket_filter',
    'r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; if r0 == 0 goto out; r1 = *(u64 *)(r0 + 8); out: r0 = 0; exit',
    [0, '', 10, 1, 1, '8'],
  ],
  [
    'a value that may be null',
    'socket_filter',
    'r1 = 9; *(u64 *)(r10 - 8) = r1; r2 = r10; r2 += -8; r1 = map[fd:2]; call 1; r0 = *(u64 *)(r0 + 0); exit',
    [13, "R0 invalid mem access 'map_value_or_null'", 7, 0, 0, '8'],
  ],
  [
    'beyond the value',
    'socket_filter',
    'r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; if r0 == 0 goto out; r1 = *(u64 *)(r0 + 12); out: r0 = 0; exit',
    [13, 'invalid access to map value, value_size=16 off=12 size=8', 8, 0, 0, '8'],
  ],
  [
    'an index without a lower bound',
    'sched_cls',
    'r6 = *(u64 *)(r1 + 48); r6 = -r6; r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; if r0 == 0 goto out; if r6 s> 8 goto out; r0 += r6; r1 = *(u8 *)(r0 + 0); out: r0 = 0; exit',
    [
      22,
      'math between map_value pointer and register with unbounded min value is not allowed',
      11,
      1,
      1,
      '8',
    ],
  ],
  [
    'an index bounded by a linked copy',
    'socket_filter',
    'r6 = *(u32 *)(r1 + 0); r1 = 0; *(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; if r0 == 0 goto out; r7 = r6; if r7 > 8 goto out; r0 += r6; r1 = *(u8 *)(r0 + 0); out: r0 = 0; exit',
    [0, '', 16, 1, 1, '8'],
  ],
  [
    'the key is not initialised, with privileges',
    'socket_filter',
    'r2 = r10; r2 += -4; r1 = map[fd:0]; call 1; r0 = 0; exit',
    [0, '', 6, 0, 0, '8'],
  ],
  [
    'a misaligned key',
    'socket_filter',
    'r1 = 0; *(u32 *)(r10 - 2) = r1; r2 = r10; r2 += -2; r1 = map[fd:0]; call 1; r0 = 0; exit',
    [13, 'misaligned stack access off 0+0+-2 size 4', 2, 0, 0, '0'],
  ],
  [
    'another type of map than the helper takes',
    'socket_filter',
    'r2 = map[fd:0]; r3 = 0; call 12; r0 = 0; exit',
    [22, 'expected prog array map for tail call', 3, 0, 0, '0'],
  ],
  [
    'direct access to a value',
    'socket_filter',
    'r1 = map[fd:1][0]+8; r0 = *(u64 *)(r1 + 0); r0 = 0; exit',
    [0, '', 4, 0, 0, '0'],
  ],
  [
    'direct access beyond the value',
    'socket_filter',
    'r1 = map[fd:1][0]+16; r0 = 0; exit',
    [22, 'invalid access to map value pointer, value_size=16 off=16', 0, 0, 0, '0'],
  ],
  // calls
  [
    'a helper that there is none of',
    'socket_filter',
    'call 9999; exit',
    [22, 'invalid func unknown#9999', 1, 0, 0, '0'],
  ],
  [
    'a helper for other program types',
    'socket_filter',
    'call 44; exit',
    [22, 'program of this type cannot use helper bpf_xdp_adjust_head#44', 1, 0, 0, '0'],
  ],
  [
    'an argument of the wrong type',
    'socket_filter',
    'r2 = 0; r1 = r2; call 1; r0 = 0; exit',
    [13, 'R1 type=scalar expected=map_ptr', 3, 0, 0, '0'],
  ],
  [
    'recursion',
    'socket_filter',
    'call f; r0 = 0; exit; f: call f; r0 = 0; exit',
    [7, 'the call stack of 9 frames is too deep', 8, 1, 1, '0+0'],
  ],
  [
    'nine frames',
    'socket_filter',
    'call a; r0 = 0; exit; a: call b; exit; b: call c; exit; c: call d; exit; d: call e; exit; e: call f; exit; f: call g; exit; g: call h; exit; h: r0 = 0; exit',
    [7, 'the call stack of 9 frames is too deep', 8, 1, 1, '0+0+0+0+0+0+0+0+0'],
  ],
  [
    'a callee keeps r6 to r9',
    'socket_filter',
    'r6 = 5; call f; r0 = r6; exit; f: r6 = 7; r0 = r6; exit',
    [0, '', 7, 0, 0, '0+0'],
  ],
  // references
  [
    'a socket that is not released',
    'sched_cls',
    'r6 = r1; r2 = 0; *(u64 *)(r10 - 16) = r2; *(u64 *)(r10 - 8) = r2; r2 = r10; r2 += -16; r3 = 12; r4 = 0; r5 = 0; call 84; r0 = 0; exit',
    [22, 'Unreleased reference id=2 alloc_insn=9', 12, 0, 0, '16'],
  ],
  [
    'a socket released',
    'sched_cls',
    'r6 = r1; r2 = 0; *(u64 *)(r10 - 16) = r2; *(u64 *)(r10 - 8) = r2; r2 = r10; r2 += -16; r3 = 12; r4 = 0; r5 = 0; call 84; if r0 == 0 goto out; r1 = r0; call 86; out: r0 = 0; exit',
    [0, '', 16, 1, 1, '16'],
  ],
  [
    'a socket released twice',
    'sched_cls',
    'r6 = r1; r2 = 0; *(u64 *)(r10 - 16) = r2; *(u64 *)(r10 - 8) = r2; r2 = r10; r2 += -16; r3 = 12; r4 = 0; r5 = 0; call 84; if r0 == 0 goto out; r6 = r0; r1 = r0; call 86; r1 = r6; call 86; out: r0 = 0; exit',
    [13, 'R1 type=scalar expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_', 16, 1, 1, '16'],
  ],
  // atomics
  [
    'into the packet',
    'xdp',
    'r2 = *(u32 *)(r1 + 0); r3 = *(u32 *)(r1 + 4); r4 = r2; r4 += 8; if r4 > r3 goto out; r5 = 1; lock *(u64 *)(r2 + 0) += r5; out: r0 = 2; exit',
    [13, 'BPF_ATOMIC stores into R2 pkt is not allowed', 7, 0, 0, '0'],
  ],
  [
    'on the stack',
    'socket_filter',
    'r1 = 1; *(u64 *)(r10 - 8) = r1; lock *(u64 *)(r10 - 8) += r1; r0 = 0; exit',
    [0, '', 5, 0, 0, '8'],
  ],
  [
    'misaligned',
    'socket_filter',
    'r1 = 1; *(u64 *)(r10 - 8) = r1; *(u64 *)(r10 - 16) = r1; lock *(u64 *)(r10 - 12) += r1; r0 = 0; exit',
    [13, 'misaligned stack access off 0+0+-12 size 8', 4, 0, 0, '16'],
  ],
  // return codes
  [
    'unknown where a range is asked for',
    'cgroup_sock',
    'r0 = *(u32 *)(r1 + 0); exit',
    [
      22,
      'At program exit the register R0 has smin=0 smax=4294967295 should have been in [0, 1]',
      2,
      0,
      0,
      '0',
    ],
  ],
  [
    'out of the range',
    'cgroup_sock',
    'r0 = 2; exit',
    [22, 'At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]', 2, 0, 0, '0'],
  ],
  ['in the range', 'cgroup_sock', 'r0 = 1; exit', [0, '', 2, 0, 0, '0']],
  // precision and pruning
  [
    'a diamond ends in the same state',
    'socket_filter',
    'r0 = *(u32 *)(r1 + 0); r2 = 1; if r0 > 7 goto join; r2 = 1; join: r3 = r10; r3 += -8; *(u8 *)(r3 + 0) = r2; r0 = 0; exit',
    [0, '', 14, 1, 1, '8'],
  ],
  [
    'a diamond where the difference matters',
    'socket_filter',
    'r0 = *(u32 *)(r1 + 0); r2 = -8; if r0 > 7 goto join; r2 = -16; join: r3 = r10; r3 += r2; *(u8 *)(r3 + 0) = r2; r0 = 0; exit',
    [0, '', 14, 1, 1, '16'],
  ],
  [
    'a sign forks at a mask',
    'socket_filter',
    'r0 = *(u32 *)(r1 + 0); r0 <<= 32; r0 s>>= 63; r0 &= 7; r2 = r10; r2 += -8; r2 += r0; r3 = 0; *(u8 *)(r2 + 0) = r3; r0 = 0; exit',
    [0, '', 19, 0, 0, '8'],
  ],
  [
    'a legacy load in a function that does not return a number',
    'sched_cls',
    'r6 = r1; r0 = *(u8 *)skb[0]; r0 = 0; exit',
    [0, '', 4, 0, 0, '0'],
  ],
  [
    'a legacy load without the context',
    'sched_cls',
    'r0 = *(u8 *)skb[0]; exit',
    [13, 'R6 !read_ok', 1, 0, 0, '0'],
  ],
  [
    'packet pointers at the end are like no others',
    'sched_cls',
    'r6 = r1; r0 = *(u8 *)skb[0]; if w0 < -1 goto +0; r7 = *(u32 *)(r6 + 76); r4 = *(u32 *)(r6 + 80); r5 = r7; if r4 <= r5 goto +1; if w0 == 0 goto +0; r2 = 0; call f; exit; f: if r2 s>= 0 goto +0; r0 = 0; exit',
    [0, '', 39, 4, 4, '0+0'],
  ],
  [
    'links of registers that are read no more',
    'socket_filter',
    'r0 = *(u32 *)(r1 + 0); r6 = r0; if r6 > 7 goto out; r2 = r10; r2 += -8; r2 += r0; r3 = 0; *(u8 *)(r2 + 0) = r3; out: r0 = 0; exit',
    [0, '', 12, 1, 1, '8'],
  ],
  [
    'negation ends a link',
    'socket_filter',
    'r0 = *(u32 *)(r1 + 0); r6 = r0; r6 = -r6; if r6 > 7 goto out; r2 = r10; r2 += -8; r2 += r0; r3 = 0; *(u8 *)(r2 + 0) = r3; out: r0 = 0; exit',
    [13, 'invalid unbounded variable-offset write to stack R2', 9, 0, 0, '0'],
  ],
];
