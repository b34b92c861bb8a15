/**
 * Conditions that single helpers put on the program (`bpf_func_proto.allowed`): kernel/trace/bpf_trace.c,
 * net/core/bpf_sk_storage.c and kernel/bpf/bpf_lsm.c, Linux 6.18.
 */
import { AttachType } from '../../abi/attach-types.js';
import type { HelperCondition } from '../../abi/helper-protos.js';
import { ProgType } from '../../abi/prog-types.js';
import { SLEEPABLE_LSM_HOOKS } from '../../abi/verifier-lsm-hooks.js';
import type { ProgEnv } from './types.js';

/** Kernel functions in which a path is safe to print. */
const D_PATH_FUNCTIONS: ReadonlySet<string> = new Set([
  'security_file_permission',
  'security_inode_getattr',
  'security_file_open',
  'security_path_truncate',
  'vfs_truncate',
  'vfs_fallocate',
  'dentry_open',
  'vfs_getattr',
  'filp_close',
]);

/** `attach` is the hook's function, `bpf_lsm_` prefix included. */
export function isSleepableLsmHook({ attach }: ProgEnv): boolean {
  return attach?.name.startsWith('bpf_lsm_') === true && SLEEPABLE_LSM_HOOKS.has(attach.name.slice(8));
}

function dPath(env: ProgEnv): boolean {
  if (env.type === ProgType.tracing && env.expectedAttachType === AttachType.trace_iter) return true;
  if (env.type === ProgType.lsm) return isSleepableLsmHook(env);
  return D_PATH_FUNCTIONS.has(env.attach?.name ?? '');
}

/** A program on one of the storage functions may not use them. */
function skStorage({ expectedAttachType, attach }: ProgEnv): boolean {
  switch (expectedAttachType) {
    case AttachType.trace_iter:
    case AttachType.trace_raw_tp:
      return true;
    case AttachType.trace_fentry:
    case AttachType.trace_fexit:
      return attach !== undefined && !attach.name.startsWith('bpf_sk_storage');
    default:
      return false;
  }
}

/** True where the program meets the condition. */
export function conditionHolds(condition: HelperCondition, env: ProgEnv): boolean {
  switch (condition) {
    case 'd_path':
      return dPath(env);
    case 'sk_storage_tracing':
      return skStorage(env);
    case 'ima_hash':
      return isSleepableLsmHook(env);
  }
}
