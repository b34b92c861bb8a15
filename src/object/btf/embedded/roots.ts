/**
 * Which kernel types the embedded default target holds: what tracing, networking and security programs
 * commonly read. Each list is names of one header family; `ROOT_PATTERNS` takes whole families.
 */

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Structs, unions, enums and typedefs kept whole. Names that a kernel lacks are skipped. */
export const ROOT_NAMES: readonly string[] = words(`
  u8 u16 u32 u64 s8 s16 s32 s64 __u8 __u16 __u32 __u64 __s8 __s16 __s32 __s64 __be16 __be32 __be64 __le16
  __le32 __sum16 __wsum uint8_t uint16_t uint32_t uint64_t int8_t int16_t int32_t int64_t size_t ssize_t
  uintptr_t bool pid_t uid_t gid_t dev_t mode_t umode_t loff_t sector_t ktime_t gfp_t fmode_t time64_t
  atomic_t atomic64_t atomic_long_t refcount_t kuid_t kgid_t kernel_cap_t kref spinlock_t raw_spinlock_t
  rwlock_t possible_net_t sockptr_t netdev_features_t pte_t pmd_t pgd_t cpumask_t nodemask_t siphash_key_t

  list_head hlist_head hlist_node hlist_nulls_head hlist_nulls_node rb_node rb_root rb_root_cached
  callback_head llist_head llist_node xarray radix_tree_root idr ida maple_tree maple_node mutex rw_semaphore
  semaphore rt_mutex seqlock_t seqcount wait_queue_head completion work_struct delayed_work timer_list
  hrtimer percpu_ref percpu_counter kobject kset kernfs_node kernfs_open_file timespec64 __kernel_timespec

  task_struct thread_struct thread_info sched_entity sched_rt_entity sched_dl_entity sched_info rq cfs_rq
  rt_rq dl_rq cfs_bandwidth task_group sched_class sched_avg load_weight signal_struct sighand_struct
  sigpending k_sigaction sigaction kernel_siginfo kernel_siginfo_t taskstats task_io_accounting
  task_cputime prev_cputime posix_cputimers rseq restart_block wake_q_node nsproxy pid pid_namespace
  pid_link upid pid_type uts_namespace new_utsname mnt_namespace ipc_namespace user_namespace net ns_common
  cgroup_namespace time_namespace cred user_struct ucounts group_info key keyring_list audit_context
  seccomp seccomp_filter seccomp_data fs_struct files_struct fdtable io_context io_cq bio_list
  robust_list_head futex_q futex_hash_bucket cpuinfo_x86 pt_regs user_regs_struct fpu perf_event
  perf_event_attr perf_event_context perf_sample_data perf_branch_entry perf_branch_stack hw_perf_event
  bpf_perf_event_data bpf_perf_event_data_kern bpf_perf_event_value vm_struct stack_trace stack_info

  mm_struct vm_area_struct vm_operations_struct page folio address_space address_space_operations zone
  pglist_data lruvec mem_cgroup mem_cgroup_per_node page_counter kmem_cache slab anon_vma shrinker
  shrink_control scan_control compact_control oom_control vm_fault mempolicy swap_info_struct
  rss_stat mm_rss_stat vmap_area reclaim_state page_pool bdi_writeback backing_dev_info writeback_control

  file inode dentry path qstr super_block file_system_type vfsmount mount mountpoint file_operations
  inode_operations dentry_operations super_operations nameidata filename open_how iattr kiocb iov_iter
  iovec kvec bio_vec pipe_inode_info pipe_buffer file_lock file_lock_core file_lock_context fown_struct fsnotify_mark
  fsnotify_group eventpoll epitem linux_binprm linux_binfmt seq_file seq_operations proc_dir_entry
  dir_context kstat readahead_control file_ra_state fd poll_table_struct ctl_table ctl_table_header
  io_kiocb io_ring_ctx io_uring_sqe io_uring_cqe eventfd_ctx timerfd_ctx inotify_inode_mark
  security_hook_list lsm_blob_sizes task_security_struct inode_security_struct

  bio request request_queue gendisk block_device blk_mq_hw_ctx blk_mq_ctx blk_mq_tag_set hd_struct
  request_list blk_rq_stat elevator_queue io_comp_batch blkcg blkcg_gq req_op scsi_cmnd scsi_device
  nvme_command device device_driver bus_type class module module_memory cdev

  cgroup cgroup_subsys cgroup_subsys_state cgroup_root css_set cgroup_file cftype cgroup_bpf
  cgroup_taskset kernfs_root cgroup_base_stat cgroup_rstat_cpu

  sk_buff sk_buff_head skb_shared_info skb_ext skb_frag_t skb_shared_hwtstamps net_device net_device_ops
  netdev_queue netdev_rx_queue napi_struct softnet_data net_device_stats rtnl_link_stats64 pcpu_sw_netstats
  Qdisc Qdisc_ops qdisc_skb_cb tcf_proto packet_type sock sock_common socket socket_alloc socket_wq proto
  proto_ops inet_sock inet_connection_sock inet_connection_sock_af_ops inet_request_sock tcp_request_sock
  request_sock request_sock_queue inet_timewait_sock tcp_timewait_sock inet_hashinfo inet_ehash_bucket
  inet_bind_bucket inet_bind2_bucket inet_listen_hashbucket tcp_sock tcp_skb_cb tcp_options_received
  tcp_congestion_ops tcp_fastopen_request tcp_metrics_block tcp6_sock udp_sock udp6_sock udp_table udp_hslot
  raw_sock raw6_sock ipv6_pinfo unix_sock unix_address netlink_sock packet_sock mptcp_sock
  mptcp_subflow_context vsock_sock sk_filter sk_psock sk_security_struct sock_reuseport sock_fprog sock_filter
  rate_sample ack_sample minmax_sample inet_cork ip_options ipcm_cookie sk_msg msghdr user_msghdr
  cmsghdr scm_cookie sockaddr sockaddr_in sockaddr_in6 sockaddr_un sockaddr_ll sockaddr_nl sockaddr_storage
  in_addr in6_addr flowi flowi4 flowi6 dst_entry rtable rt6_info fib_info fib_nh fib_nh_common fib6_info
  fib6_nh nexthop nh_info neighbour neigh_table hh_cache net_bridge net_bridge_port in_device inet6_dev in_ifaddr
  inet6_ifaddr nf_conn nf_conn___init nf_conntrack nf_conntrack_tuple nf_conntrack_tuple_hash nf_conntrack_man
  nf_hook_state nf_hook_ops nf_hook_entries nf_inet_addr nft_chain nft_rule nft_table xt_table xt_action_param
  xfrm_state xfrm_policy xfrm_replay_state_esn netns_ipv4 netns_ipv6 netns_ct netns_nf net_generic
  dev_ifalias ifreq rtnl_link_ops tls_context tcf_result qdisc_walker
  iphdr ipv6hdr ipv6_opt_hdr tcphdr tcp_word_hdr udphdr icmphdr icmp6hdr igmphdr ethhdr vlan_hdr vlan_ethhdr arphdr
  sctphdr ip_esp_hdr ip_auth_hdr gre_base_hdr vxlanhdr genevehdr geneve_opt erspan_metadata vxlan_metadata mpls_label
  nlmsghdr nlattr rtmsg ifinfomsg dns_payload

  xdp_md xdp_buff xdp_frame xdp_rxq_info xdp_txq_info xdp_mem_info xdp_desc xsk_buff_pool xdp_sock xdp_action
  xsk_queue xdp_dev_bulk_queue

  __sk_buff bpf_sock bpf_sock_addr bpf_sock_addr_kern bpf_sock_ops bpf_sock_ops_kern bpf_sock_tuple
  bpf_tcp_sock bpf_sockopt bpf_sockopt_kern bpf_sysctl bpf_sysctl_kern sk_msg_md sk_reuseport_md sk_reuseport_kern
  bpf_sk_lookup bpf_sk_lookup_kern bpf_flow_keys bpf_flow_dissector bpf_cgroup_dev_ctx bpf_raw_tracepoint_args
  bpf_tunnel_key bpf_xfrm_state bpf_xfrm_state_opts bpf_fib_lookup bpf_redir_neigh bpf_pidns_info bpf_btf_info
  bpf_spin_lock bpf_timer bpf_wq bpf_dynptr bpf_dynptr_kern bpf_list_head bpf_list_node bpf_rb_root bpf_rb_node
  bpf_refcount bpf_iter_num bpf_iter_task bpf_iter_task_vma bpf_iter_css bpf_iter_css_task bpf_iter_bits
  bpf_nf_ctx bpf_ct_opts bpf_nf_link bpf_cpumask bpf_attr bpf_insn bpf_insn_aux_data bpf_prog bpf_prog_aux
  bpf_prog_info bpf_prog_stats bpf_map bpf_map_info bpf_link bpf_link_info bpf_tracing_link bpf_perf_link
  bpf_raw_tp_link bpf_cgroup_link bpf_iter_link bpf_array bpf_htab bpf_shtab bpf_dtab bpf_stab lpm_trie bpf_stack_map
  bpf_queue_stack bpf_ringbuf bpf_ringbuf_map bpf_cpu_map bpf_cgroup_storage_map bpf_local_storage
  bpf_local_storage_map bpf_arena reuseport_array xsk_map sock_map bpf_lru bpf_lru_list bpf_lru_node
  htab_elem bucket bpf_cmd bpf_map_type bpf_prog_type bpf_attach_type bpf_link_type bpf_func_id bpf_tcp_req_attrs
  bpf_crypto_params bpf_crypto_ctx bpf_iter_meta btf_ptr btf_type btf_member btf_enum kallsym_iter trace_entry
  trace_event_call trace_event_fields trace_print_flags syscall_trace_enter syscall_trace_exit ftrace_regs
  tracepoint kprobe kretprobe kretprobe_instance uprobe trace_kprobe trace_uprobe

  irqaction irq_desc irq_data softirq_action tasklet_struct clocksource clock_event_device tick_sched
  cpufreq_policy cpuidle_state cpuidle_device workqueue_struct pool_workqueue worker worker_pool rcu_data
  kthread kthread_worker console tty_struct tty_driver tty_port ktermios signalfd_siginfo utsname
  kern_ipc_perm msg_msg msg_queue shmid_kernel sem_array

  tcp_ca_state tcp_ca_event sock_type hrtimer_restart task_work_notify_mode perf_type_id zone_type zone_stat_item
  node_stat_item vm_event_item memcg_stat_item skb_drop_reason sknetlink_groups nf_inet_hooks ip_conntrack_info
  pageflags migrate_type lru_list hrtimer_base_type fs_context_purpose kernel_load_data_id kernel_read_file_id
  bpf_core_relo_kind lockdown_reason audit_state mm_counter

  pipe_inode_info binder_proc binder_transaction fuse_inode ovl_inode ext4_inode_info proc_inode
`);

/** Families kept whole: trace events of the core kernel, and BPF's iterator contexts and maps. */
export const ROOT_PATTERNS: readonly RegExp[] = [
  /^trace_event_raw_(sched|sys|syscall|net|napi|skb|kfree_skb|consume_skb|sock|sk|inet|tcp|udp|icmp|fib|neigh|qdisc)(_|$)/,
  /^trace_event_raw_(block|irq|softirq|tasklet|signal|task|timer|hrtimer|itimer|workqueue|cpu|cpuhp|power|clk|rpm)(_|$)/,
  /^trace_event_raw_(kmem|kmalloc|kfree|mm_page|mm_vmscan|mm_filemap|mmap|oom|mark|reclaim|compact|rss|memcg|page|exit|vm)(_|$)/,
  /^trace_event_raw_(cgroup|rcu|contention|lock|ipi|nmi|x86|exceptions|migration|csd|wakeup|module|percpu|xdp|bpf|mem)(_|$)/,
  /^trace_event_raw_(writeback|wbc|filelock|locks|generic|leases|initcall|rseq|hugetlbfs|swiotlb|console|error|thermal)(_|$)/,
  /^btf_trace_(sched|sys|net|napi|kfree_skb|consume_skb|skb|tcp|udp|inet|block|irq|softirq|signal|task|timer|workqueue)/,
  /^btf_trace_(kmalloc|kfree|kmem|mm_page|mm_vmscan|cgroup|contention|exceptions|page_fault|xdp|bpf|cpu|module|oom)/,
  /^bpf_iter__/,
  // what the verifier asks of a kernel: fields that keep trust, structures of functions, contexts
  /__safe_(rcu|trusted)(_or_null)?$/,
  /^bpf_struct_ops_(tcp_congestion_ops|bpf_dummy_ops)$/,
  /^bpf_dummy_ops(_state)?$/,
];

/** Functions kept with their prototypes: iterators' targets, stand-ins of struct_ops; kernel functions beside them. */
export const FUNCTION_PATTERNS: readonly RegExp[] = [
  /^bpf_iter_(bpf_map|bpf_map_elem|bpf_sk_storage_map|bpf_prog|bpf_link|sockmap|task|task_file|task_vma|cgroup|ksym)$/,
  /^bpf_iter_(kmem_cache|dmabuf|netlink|ipv6_route|tcp|udp|unix)$/,
  /^(__)?bpf_tcp_ca_/,
  /^bpf_dummy_(ops__)?test_/,
  /^bpf_lsm_/,
];
