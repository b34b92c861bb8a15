/** Environments for the tests of the tables, and the recordings of what Linux 6.18 allowed. */
import { readFileSync } from 'node:fs';
import { attachTypeByName } from '../../../src/abi/attach-types.js';
import { progTypeByName } from '../../../src/abi/prog-types.js';
import { FULL_CAPABILITIES, type ProgEnv, RECORDED_CONFIG } from '../../../src/verifier/env/index.js';
import type { RecordedEnv } from './matrix.js';

/** A privileged, GPL-compatible program by its names. */
export function progEnv(
  type: string,
  attachType = 'cgroup_inet_ingress',
  more: Partial<ProgEnv> = {},
): ProgEnv {
  return {
    type: progTypeByName(type)!,
    expectedAttachType: attachTypeByName(attachType)!,
    sleepable: false,
    gpl: true,
    capabilities: FULL_CAPABILITIES,
    config: RECORDED_CONFIG,
    ...more,
  };
}

export function recordedEnvs(row: RecordedEnv): ProgEnv[] {
  const { member, target } = row;
  const attach = target === undefined ? undefined : { name: target, ...(member !== undefined && { member }) };
  return (member === undefined ? row.attachTypes : [undefined]).map((attachType) =>
    progEnv(row.type, attachType, {
      sleepable: row.sleepable === true,
      ...(attach !== undefined && { attach }),
    }),
  );
}

/** Lines of JSON beside this file. */
export function recording<T>(name: string): T[] {
  const text = readFileSync(new URL(`./data/${name}`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}
