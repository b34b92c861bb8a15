/**
 * The instruction set's public face: what other floors import.
 */
export * from './asm/index.js';
export * from './check.js';
export * from './classic/index.js';
export * from './constants.js';
export * from './decode.js';
export * from './disasm.js';
export * from './encode.js';
export * from './errors.js';
export * from './insn.js';
export * from './int64.js';
export * from './jumps.js';
export * from './opcodes.js';
