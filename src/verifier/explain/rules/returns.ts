/** What programs and callbacks may return. */
import type { Rule } from '../types.js';

const r0 = (): readonly [{ readonly kind: 'reg'; readonly regno: 0 }] => [{ kind: 'reg', regno: 0 }];

const ALLOWED =
  'For some program and attach types the kernel acts on the return value and knows only certain ones; r0 has to lie in that range at every exit. Callbacks of helpers have a range too (mostly 0 to 1).';

export const RETURN_RULES: readonly Rule[] = [
  {
    id: 'return-range',
    title: 'Return value outside what is allowed',
    pattern:
      /^At (?<where>.+) the register R0 has (?<have>.+?) should have been in \[(?<min>-?\d+), (?<max>-?\d+)\]/,
    text: ALLOWED,
    what: (f) =>
      `${f.is(0)} at this exit; ${f.text('where').includes('callback') ? 'the callback' : `a program of type ${f.programType} attached like this`} may return ${f.text('min')} to ${f.text('max')}.`,
    mend: (f) => [
      `Return a constant from ${f.text('min')} to ${f.text('max')} on every path.`,
      'Do not return the result of a helper unchecked: turn it into 0 or 1 (`!!x`).',
    ],
    follow: r0,
  },
  {
    id: 'return-pointer',
    title: 'Return value that is no number',
    pattern: /^At (?<where>.+) the register R0 is not a (?:known|scalar) value \((?<type>[^)]*)\)/,
    text: `${ALLOWED} A pointer is never one of them.`,
    what: (f) => `${f.is(0)} at this exit.`,
    mend: ['Set r0 to a number before exit.'],
    follow: r0,
  },
];
