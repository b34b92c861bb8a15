/**
 * Classic BPF's public face: socket filters and seccomp programs.
 */
export * from './ancillary.js';
export * from './asm.js';
export * from './convert.js';
export * from './insn.js';
export * from './opcodes.js';
export * from './text.js';
export * from './validate.js';
