/**
 * Which kernel a program is judged for. `6.18` is the reference, exact; `rt`, the default of the command, is 6.18 with
 * PREEMPT_RT and the preallocation rule for every tracing program; the others are older mainline releases (docs/verify.md
 * says what of them is known). Releases of the rules: kernel/bpf/verifier.c, `check_map_prog_compatibility`.
 */
import { compareVersions, type KernelVersion } from '../abi/verifier-since.js';
import type { PreallocPolicy } from './env/types.js';
import { VerifierError } from './error.js';

export interface VerifierProfile {
  readonly name: string;
  /** Mainline release; distributions carry some of later ones further back. */
  readonly version: KernelVersion;
  readonly preemptRt: boolean;
  /** Hash maps that allocate elements at run time, in tracing programs. */
  readonly prealloc: PreallocPolicy;
  /** `bpf_timer` is refused on PREEMPT_RT. */
  readonly timerBan: boolean;
}

/** The release whose verdicts `verify` gives. */
export const REFERENCE_VERSION: KernelVersion = '6.18';

export const DEFAULT_PROFILE = 'rt';

/** Up to here performance events alone may not; up to before 6.1 no tracing program may, or is warned. */
const PERF_EVENT_ONLY: KernelVersion = '5.6';
const RULE_GONE: KernelVersion = '6.1';
/** Since when timers are refused on PREEMPT_RT, in mainline. */
const TIMER_BAN: KernelVersion = '6.17';

function preallocOf(version: KernelVersion, preemptRt: boolean): PreallocPolicy {
  if (compareVersions(version, PERF_EVENT_ONLY) <= 0) return 'perf_event';
  if (compareVersions(version, RULE_GONE) >= 0) return 'none';
  return preemptRt ? 'refuse' : 'warn';
}

/** Releases, and whether there is a preset with PREEMPT_RT beside the plain one. */
const RELEASES: readonly (readonly [version: KernelVersion, withRt: boolean])[] = [
  ['4.19', false],
  ['5.4', false],
  ['5.6', false],
  ['5.7', true],
  ['5.10', true],
  ['5.15', true],
  ['6.1', true],
  ['6.6', true],
  ['6.12', true],
  ['6.18', true],
];

function release(version: KernelVersion, preemptRt: boolean): VerifierProfile {
  return {
    name: preemptRt ? `${version}-rt` : version,
    version,
    preemptRt,
    prealloc: preallocOf(version, preemptRt),
    timerBan: preemptRt && compareVersions(version, TIMER_BAN) >= 0,
  };
}

const PROFILES: ReadonlyMap<string, VerifierProfile> = new Map(
  [
    {
      name: DEFAULT_PROFILE,
      version: REFERENCE_VERSION,
      preemptRt: true,
      prealloc: 'rt',
      timerBan: true,
    } as const,
    ...RELEASES.flatMap(([version, withRt]) =>
      withRt ? [release(version, false), release(version, true)] : [release(version, false)],
    ),
  ].map((profile) => [profile.name, profile]),
);

/** Names of the presets, the default first. */
export function profileNames(): string[] {
  return [...PROFILES.keys()];
}

/**
 * The preset of this name.
 * @throws VerifierError `VERIFIER_PROFILE` where there is none.
 */
export function profileByName(name: string): VerifierProfile {
  const profile = PROFILES.get(name);
  if (profile !== undefined) return profile;
  throw new VerifierError(
    'VERIFIER_PROFILE',
    `"${name}" names no kernel profile; there are: ${profileNames().join(', ')}`,
  );
}

/**
 * The same release with or without PREEMPT_RT. `rt` and `6.18` stand for each other.
 * @throws VerifierError `VERIFIER_PROFILE` where there is no such preset.
 */
export function withPreemptRt(profile: VerifierProfile, preemptRt: boolean): VerifierProfile {
  if (profile.preemptRt === preemptRt) return profile;
  return profileByName(preemptRt ? `${profile.version}-rt` : profile.version);
}
