/**
 * Why a program was rejected, in plain words: the rule, the value that broke it, how it came to be on the path that
 * failed, and what usually mends it. Pure: the same request and result give the same explanation. The path is retraced by
 * running `verify` once more with a log of that path alone.
 */

import { LOG_STATES } from '../log.js';
import type { VerifyRequest, VerifyResult } from '../types.js';
import { verify } from '../verify.js';
import { ChainBuilder } from './chain.js';
import { Finding } from './finding.js';
import { insnTextAt, sourceAt } from './names.js';
import { Path } from './path.js';
import { GENERAL, RULES } from './rules/index.js';
import type { Explanation, Rule } from './types.js';

export type { SourceLine } from './names.js';
export { explanationText } from './text.js';
export type { ChainStep, Explanation } from './types.js';

/** Programs that took more instructions than this are explained without retracing their path. */
const MAX_RETRACED = 400_000;

/** The explanation of a rejection; undefined for a program that was not rejected. Throws nothing. */
export function explain(request: VerifyRequest, result: VerifyResult): Explanation | undefined {
  if (result.verdict !== 'reject') return undefined;
  const path = retrace(request, result);
  const { rule, groups } = findRule([result.message, ...path.errors]);
  const finding = new Finding(request, result, path, groups);
  const insn = rule.locate === undefined ? finding.slot : rule.locate(finding);
  if (rule.arrives === true && insn !== undefined && path.steps.length > 0) path.arrive(insn);
  const what = rule.what(finding).replace(/^the /, 'The ');
  const follow = rule.follow === undefined ? finding.defaultPlaces() : rule.follow(finding);
  const chain = new ChainBuilder(request, path).build(follow, `rejected: ${result.message}`);
  const source = sourceAt(request, insn);
  return {
    rule: { id: rule.id, title: rule.title, text: rule.text },
    what,
    where: {
      insn,
      text: insn === undefined ? '' : insnTextAt(request, insn),
      ...(source !== undefined && { source }),
    },
    chain,
    mend: typeof rule.mend === 'function' ? rule.mend(finding) : rule.mend,
  };
}

function retrace(request: VerifyRequest, result: VerifyResult): Path {
  if (result.processed > MAX_RETRACED) return new Path(request, '');
  return new Path(request, verify({ ...request, logLevel: LOG_STATES }).log);
}

/** The first line decides; where no rule knows it, one of the lines behind it may be known. */
function findRule(lines: readonly string[]): { rule: Rule; groups: Readonly<Record<string, string>> } {
  for (const line of lines) {
    for (const rule of RULES) {
      const match = rule.pattern.exec(line);
      if (match !== null) return { rule, groups: match.groups ?? {} };
    }
  }
  return { rule: GENERAL, groups: {} };
}
