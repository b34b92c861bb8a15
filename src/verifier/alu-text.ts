/** Operators as the log names them (`bpf_alu_string`, kernel/bpf/disasm.c). */
const OPERATORS = [
  '+=',
  '-=',
  '*=',
  '/=',
  '|=',
  '&=',
  '<<=',
  '>>=',
  'neg',
  '%=',
  '^=',
  '=',
  's>>=',
  'endian',
] as const;

/** By the operation's bits of the opcode. */
export const operatorText = (op: number): string => OPERATORS[op >> 4] ?? '';
