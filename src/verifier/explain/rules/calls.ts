/** Calls of the program's own functions. */
import type { Finding } from '../finding.js';
import type { Rule } from '../types.js';
import { nothing, says } from './common.js';

const GLOBAL =
  'A global function is verified alone, for any arguments of its declared types, and each caller has to pass arguments of those types: numbers, the context, or pointers to memory of the declared size. A static function is verified anew for each call, with what is passed.';

const MAKE_STATIC = 'Make the function static, so that it is verified with the arguments it really gets.';

export const CALL_RULES: readonly Rule[] = [
  {
    id: 'call-depth',
    title: 'Calls nested too deep',
    pattern: /^the call stack of (?<frames>\d+) frames is too deep/,
    text: 'At most eight functions may be active at once, the main program included; recursion is refused for the same reason.',
    what: (f) =>
      `This call would make ${f.number('frames')} frames${f.slot === undefined ? '' : ` at insn ${f.slot}`}.`,
    mend: [
      'Inline small functions (__always_inline), or flatten the chain.',
      'Replace recursion by a loop with a stack of its own, or by tail calls.',
    ],
    follow: nothing,
  },
  {
    id: 'global-arguments',
    title: 'Arguments do not fit the global function',
    pattern:
      /^(?:arg#(?<arg>\d+) (?:expects pointer to ctx|is expected to be non-NULL)|R(?<reg>\d+) is not a scalar|Caller passes invalid args into func#(?<func>\d+))/,
    text: GLOBAL,
    what: (f) => {
      const regno = f.text('arg') === '' ? f.regno : f.number('arg') + 1;
      return regno === undefined
        ? 'An argument is not of its declared type.'
        : `${f.is(regno)}, which is not what the function declares for argument ${regno}.`;
    },
    mend: ['Pass what the prototype says; test pointers for NULL on either side.', MAKE_STATIC],
    follow: (f) => (f.text('arg') === '' ? f.defaultPlaces() : [{ kind: 'reg', regno: f.number('arg') + 1 }]),
  },
  {
    id: 'global-prototype',
    title: 'Global function with a signature that cannot be verified',
    pattern:
      /^(?:Global function (?<name>\w+)\(\) (?:doesn't return scalar|with \d+ > \d+ args)|Arg#(?<arg>\d+) type (?<type>.+) in (?<name2>\w+)\(\) is not supported|arg#(?<arg2>\d+) (?:has|reference type|type tag|pointer type))/,
    text: GLOBAL,
    what: (f) => `${f.text('name') || f.text('name2') || 'The function'}: ${f.result.message}.`,
    mend: [
      'Return a number, take at most five arguments, each a number or a pointer to a type of known size.',
      MAKE_STATIC,
    ],
    follow: nothing,
  },
  {
    id: 'global-sleeps',
    title: 'Global function that may sleep',
    pattern: /^global functions that may sleep are not allowed in non-sleepable context/,
    text: 'A global function that calls what may sleep can be called only where sleeping is allowed.',
    what: (f) => `insn ${f.slot ?? '?'} calls such a function where it is not.`,
    mend: ['Move the sleeping part out of the function, or load the program as sleepable.'],
    follow: nothing,
  },
  {
    id: 'callback-static',
    title: 'Callback that is not static',
    pattern: /^(?:callback function not static|missing btf func_info)/,
    text: 'A function whose address is handed to a helper has to be static, and described by BTF.',
    what: () => 'The function whose address the instruction takes is not.',
    mend: ['Declare it static, and build with -g.'],
    follow: nothing,
  },
  {
    id: 'subprogram-without-btf',
    title: 'Function that needs BTF',
    pattern:
      /^(?:LD_ABS|tail_call) is (?:not allowed in subprogs without BTF|only allowed in functions that return 'int')/,
    text: 'Packet loads (LD_ABS) and tail calls end the function early with a number, so functions that use them have to be described by BTF and return int.',
    what: says,
    mend: ['Build with -g and return int.', 'Do it in the main program.'],
    follow: nothing,
  },
  {
    id: 'callback-result',
    title: 'Callback that returns something else than a number',
    pattern: /^R0 not a scalar value/,
    text: 'Callbacks of helpers return a number.',
    what: (f: Finding) => `${f.is(0)}.`,
    mend: ['Return 0 to go on, 1 to stop.'],
    follow: () => [{ kind: 'reg', regno: 0 }],
  },
];
