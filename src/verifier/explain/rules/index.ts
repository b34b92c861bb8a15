/** All rules, by family; within a message's reach the first that matches wins. */
import type { Rule } from '../types.js';
import { CALL_RULES } from './calls.js';
import { CONTROL_FLOW_RULES } from './control-flow.js';
import { ENCODING_RULES } from './encoding.js';
import { HELPER_ARG_RULES } from './helper-args.js';
import { HELPER_USE_RULES } from './helper-use.js';
import { KERNEL_OBJECT_RULES } from './kernel-objects.js';
import { KERNEL_STRUCT_RULES } from './kernel-structs.js';
import { KFUNC_RULES } from './kfuncs.js';
import { LIMIT_RULES } from './limits.js';
import { LOADING_RULES } from './loading.js';
import { MAP_RULES } from './maps.js';
import { MEMORY_RULES } from './memory.js';
import { PACKET_RULES } from './packet.js';
import { POINTER_RULES } from './pointers.js';
import { POLICY_RULES } from './policy.js';
import { PRIVILEGE_RULES } from './privileges.js';
import { REFERENCE_RULES } from './references.js';
import { RETURN_RULES } from './returns.js';
import { STACK_RULES } from './stack.js';

export const RULES: readonly Rule[] = [
  ...KERNEL_OBJECT_RULES,
  ...KERNEL_STRUCT_RULES,
  ...KFUNC_RULES,
  ...PACKET_RULES,
  ...MAP_RULES,
  ...STACK_RULES,
  ...POLICY_RULES,
  ...PRIVILEGE_RULES,
  ...HELPER_ARG_RULES,
  ...HELPER_USE_RULES,
  ...REFERENCE_RULES,
  ...CALL_RULES,
  ...RETURN_RULES,
  ...POINTER_RULES,
  ...CONTROL_FLOW_RULES,
  ...ENCODING_RULES,
  ...LIMIT_RULES,
  ...LOADING_RULES,
  ...MEMORY_RULES,
];

/** Where no rule knows the message. */
export const GENERAL: Rule = {
  id: 'other',
  title: 'Rejected for a reason without an entry here',
  pattern: /^/,
  text: 'The verifier simulates every path and refuses a program as soon as one of them may do what is not allowed. There is no prepared explanation for this message; the message itself and the way to it follow.',
  what: (f) => {
    const { message } = f.result;
    if (message === '')
      return `The load ends with errno ${f.result.errno} and the verifier says nothing more.`;
    return f.regno === undefined || f.slot === undefined
      ? `${message}.`
      : `${message}; before it, ${f.is()}.`;
  },
  mend: [
    'Read the log from its end: the last instruction is the one refused, the states before it show what was known.',
  ],
};
