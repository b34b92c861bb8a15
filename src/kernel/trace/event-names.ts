/** Categories of Linux's tracepoints, for raw tracepoints, which are named without one (include/trace/events, Linux 6.18). */

const CATEGORIES: Readonly<Record<string, string>> = {
  raw_syscalls: 'sys_enter sys_exit',
  sched:
    'sched_switch sched_wakeup sched_wakeup_new sched_waking sched_migrate_task sched_process_fork sched_process_exec ' +
    'sched_process_exit sched_process_free sched_stat_runtime sched_pi_setprio sched_stat_wait',
  irq: 'irq_handler_entry irq_handler_exit softirq_entry softirq_exit softirq_raise',
  irq_vectors: 'irq_work_entry irq_work_exit local_timer_entry local_timer_exit',
  timer:
    'timer_start timer_cancel timer_expire_entry hrtimer_start hrtimer_expire_entry hrtimer_cancel tick_stop',
  lock: 'lock_acquire lock_release lock_contended lock_acquired contention_begin contention_end',
  kmem:
    'kmalloc kmalloc_node kfree kmem_cache_alloc kmem_cache_alloc_node kmem_cache_free mm_page_alloc mm_page_free ' +
    'mm_page_alloc_zone_locked mm_page_pcpu_drain rss_stat',
  rcu: 'rcu_utilization',
  net: 'netif_receive_skb net_dev_queue net_dev_xmit netif_rx napi_gro_receive_entry',
  skb: 'kfree_skb consume_skb skb_copy_datagram_iovec',
  napi: 'napi_poll',
  tcp: 'tcp_probe tcp_retransmit_skb tcp_send_reset tcp_destroy_sock',
  sock: 'inet_sock_set_state sock_send_length sock_recv_length',
  xdp: 'xdp_exception xdp_redirect xdp_redirect_err xdp_bulk_tx xdp_cpumap_kthread xdp_devmap_xmit',
  signal: 'signal_generate signal_deliver',
  task: 'task_newtask task_rename',
  exceptions: 'page_fault_user page_fault_kernel',
  power: 'cpu_idle cpu_frequency',
  block: 'block_rq_issue block_rq_complete block_rq_insert',
  workqueue: 'workqueue_execute_start workqueue_execute_end workqueue_queue_work',
  bpf_trace: 'bpf_trace_printk',
};

const CATEGORY_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(CATEGORIES).flatMap(([category, names]) => names.split(' ').map((name) => [name, category])),
);

/** `category:event` of an event's name: as it is where it has a category, `raw:event` for one that nobody knows. */
export function fullEventName(name: string, known: readonly string[] = []): string {
  if (name.includes(':')) return name;
  const category = CATEGORY_OF.get(name);
  if (category !== undefined) return `${category}:${name}`;
  return known.find((full) => full.endsWith(`:${name}`)) ?? `raw:${name}`;
}
