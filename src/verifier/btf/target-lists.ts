/**
 * Kernel functions on which programs may, or may not, hang: lists of kernel/bpf/verifier.c, net/bpf/test_run.c and of
 * `ALLOW_ERROR_INJECTION`, Linux 6.18 on x86-64 (no kernel that judged programs lets these load; taken from the sources).
 */
const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Programs on these would run in places where none can (`btf_id_deny`). */
const DENIED = words(`
  migrate_disable migrate_enable rcu_read_unlock_strict preempt_count_add preempt_count_sub
  __rcu_read_lock __rcu_read_unlock`);

/** Never return, so that nothing can run behind them (`noreturn_deny`). */
const NO_RETURN = words(`
  __ia32_sys_exit __ia32_sys_exit_group __kunit_abort kunit_try_catch_throw __module_put_and_kthread_exit
  __x64_sys_exit __x64_sys_exit_group do_exit do_group_exit kthread_complete_and_exit kthread_exit make_task_dead`);

/** Functions for tests whose result programs may change; the last one may sleep. */
const TEST_FUNCTIONS = words(
  'bpf_modify_return_test bpf_modify_return_test2 bpf_modify_return_test_tp bpf_fentry_test1',
);
const SLEEPABLE_TEST_FUNCTIONS = words('bpf_fentry_test1');

/** System calls are all open to error injection; other functions depend on the kernel's configuration. */
const isSystemCall = (name: string): boolean => /^__(?:x64|ia32)_(?:compat_)?sys_/.test(name);

export function isDenied(name: string): boolean {
  return DENIED.has(name);
}

export function isNoReturn(name: string): boolean {
  return NO_RETURN.has(name);
}

/** A tracing program that hangs there may sleep. */
export function canSleepIn(name: string): boolean {
  return isSystemCall(name) || SLEEPABLE_TEST_FUNCTIONS.has(name);
}

/** `modify_return` programs may replace its result. */
export function isModifiable(name: string): boolean {
  return isSystemCall(name) || TEST_FUNCTIONS.has(name) || name.startsWith('security_');
}
