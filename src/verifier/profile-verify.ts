/**
 * A program judged for a profile. For 6.18 the answer is `verify`'s. For an older release: `reject` where the program
 * needs what the release does not have, breaks its preallocation rule, or breaks a rule that is as old as verifiers are;
 * `accept` where nothing that the release judged otherwise can matter (profile-doubts.ts); else `unknown`, with the reason.
 */
import { ProgType } from '../abi/prog-types.js';
import { preallocProblem } from './env/index.js';
import { ERRNO } from './errno.js';
import { REFERENCE_VERSION, type VerifierProfile } from './profile.js';
import { type Demand, demandsOf, namedMaps, unmet } from './profile-demands.js';
import { firstDoubt, isLastingRule } from './profile-doubts.js';
import type { Verdict, VerifyPolicy, VerifyRequest, VerifyResult } from './types.js';
import { verify } from './verify.js';

/** `unknown`: Linux 6.18's verdict is known, the older release's is not; `message` says why. */
export type ProfileVerdict = Verdict | 'unknown';

export interface ProfileResult extends Omit<VerifyResult, 'verdict'> {
  readonly verdict: ProfileVerdict;
  /** Name of the profile. */
  readonly profile: string;
  /** What the release would say about a program that it loads all the same. */
  readonly warnings: readonly string[];
}

/** What of a profile is a policy of 6.18's verifier, for programs of this type. */
export function policyOf(profile: VerifierProfile, progType: number): VerifyPolicy {
  const { version, prealloc, timerBan } = profile;
  // 5.7 to 5.14 did not count these among the tracing programs; 5.15 to 6.0 was not looked up, and stays unknown
  const exempt = progType === ProgType.raw_tracepoint_writable && version !== REFERENCE_VERSION;
  return {
    prealloc: exempt ? 'none' : prealloc,
    preemptRt: timerBan,
  };
}

/** Judges a program for a profile. The request's own policy only gives the kernel's types. */
export function verifyFor(profile: VerifierProfile, request: VerifyRequest): ProfileResult {
  const policy = { ...request.policy, ...policyOf(profile, request.progType) };
  const result = verify({ ...request, policy });
  const refused = preallocSlot(result, request, policy);
  const answer = {
    ...result,
    insn: refused ?? result.insn,
    profile: profile.name,
    warnings: warningsOf(request, policy),
  };
  if (profile.version === REFERENCE_VERSION || refused !== undefined) return answer;
  return judgeOlder(profile, request, answer);
}

function warningsOf(request: VerifyRequest, { prealloc = 'none' }: VerifyPolicy): string[] {
  const warnings = [...namedMaps(request).keys()].flatMap((map) => {
    const problem = preallocProblem(prealloc, { type: request.progType }, map);
    return problem?.errno === 0 ? [problem.message] : [];
  });
  return [...new Set(warnings)];
}

function judgeOlder(profile: VerifierProfile, request: VerifyRequest, result: ProfileResult): ProfileResult {
  const missing = unmet(demandsOf(request), profile.version);
  const { reached } = result;
  const fatal = missing.find(({ always, insn }) => always || (insn !== undefined && reached[insn] === 1));
  if (fatal !== undefined) return missingResult(profile, result, fatal);
  switch (result.verdict) {
    case 'accept': {
      const doubt = firstDoubt(profile.version, request, result, missing);
      return doubt === undefined ? result : unknownResult(profile, result, `accepts it, but ${doubt}`);
    }
    case 'reject':
      if (isLastingRule(result.message)) return result;
      return unknownResult(
        profile,
        result,
        `refuses it (${result.message || 'no message'}), by a rule whose age is not recorded here`,
      );
    default:
      return result;
  }
}

/** The slot that names the map over which the preallocation rule refused the program; undefined where another rule did. */
function preallocSlot(
  result: VerifyResult,
  request: VerifyRequest,
  { prealloc = 'none' }: VerifyPolicy,
): number | undefined {
  if (result.verdict !== 'reject' || result.insn !== undefined) return undefined;
  for (const [map, slot] of namedMaps(request)) {
    const problem = preallocProblem(prealloc, { type: request.progType }, map);
    if (problem !== undefined && problem.errno !== 0)
      return problem.message === result.message ? slot : undefined;
  }
  return undefined;
}

/** The figures are 6.18's, and so is the log; they say nothing about the older release. */
function unknownResult(profile: VerifierProfile, result: ProfileResult, what: string): ProfileResult {
  const message = `not known for Linux ${profile.version}: ${REFERENCE_VERSION} ${what}`;
  return { ...result, verdict: 'unknown', errno: 0, message };
}

function missingResult(profile: VerifierProfile, result: ProfileResult, demand: Demand): ProfileResult {
  const { what, since, insn } = demand;
  const came = since === undefined ? 'no release has' : `Linux ${profile.version} has no`;
  const message = `${came} ${what}${since === undefined ? '' : ` (since ${since})`}`;
  return { ...result, verdict: 'reject', errno: ERRNO.EINVAL, message, insn, warnings: [] };
}
