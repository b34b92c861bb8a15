/**
 * What the loader of a program may do: by name, as a request says it, and as rules ask for it (`bpf_token_capable`,
 * kernel/bpf/token.c, Linux 6.18).
 */
import type { Capabilities } from './env/index.js';
import type { VerifyCapabilities, VerifyRequest } from './types.js';

const NAMES: ReadonlyMap<unknown, keyof VerifyCapabilities> = new Map([
  ['bpf', 'bpf'],
  ['perfmon', 'perfmon'],
  ['net_admin', 'netAdmin'],
  ['sys_admin', 'sysAdmin'],
] as const);

/** How capabilities are called. */
export const CAPABILITY_NAMES: readonly string[] = [...NAMES.keys()].map(String);

/** From a list of names; undefined where one of them names no capability. */
export function capabilitiesByName(names: readonly unknown[]): VerifyCapabilities | undefined {
  const found: { -readonly [K in keyof VerifyCapabilities]: boolean } = {};
  for (const name of names) {
    const key = NAMES.get(name);
    if (key === undefined) return undefined;
    found[key] = true;
  }
  return found;
}

/** Who names no capabilities has them all, unless `privileged` is false. CAP_SYS_ADMIN stands for the three others. */
export function capabilitiesOf({ capabilities, privileged = true }: VerifyRequest): Capabilities {
  const { bpf, perfmon, netAdmin, sysAdmin } = capabilities ?? { sysAdmin: privileged };
  const all = sysAdmin === true;
  return {
    bpf: all || bpf === true,
    perfmon: all || perfmon === true,
    netAdmin: all || netAdmin === true,
  };
}

/** Something is withheld that the rules of some program ask for. */
export function lacksCapability(request: VerifyRequest): boolean {
  const { bpf, perfmon, netAdmin } = capabilitiesOf(request);
  return !(bpf && perfmon && netAdmin);
}
