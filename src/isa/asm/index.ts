/**
 * The assembler's public face.
 */
export * from './assemble.js';
