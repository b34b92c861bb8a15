/**
 * Kernel functions that programs may call: name and `KF_*` flags, by the set in which Linux 6.18 registers them
 * (`BTF_KFUNCS_START`). Who may call a set is said in kfuncs.ts. Checked against the running kernel by
 * `test/oracle/kfunc-sweep.ts`; what its configuration lacks is from the sources.
 */
export const KFUNC_TABLE = {
  common: `
    __bpf_trap
    bpf_arena_alloc_pages trusted sleepable arena_ret arena_arg2
    bpf_arena_free_pages trusted sleepable arena_arg2
    bpf_arena_reserve_pages trusted sleepable arena_arg2
    bpf_cast_to_kern_ctx fastcall
    bpf_cgroup_read_xattr rcu
    bpf_copy_from_user_dynptr sleepable
    bpf_copy_from_user_str sleepable
    bpf_copy_from_user_str_dynptr sleepable
    bpf_copy_from_user_task_dynptr trusted sleepable
    bpf_copy_from_user_task_str sleepable
    bpf_copy_from_user_task_str_dynptr trusted sleepable
    bpf_dynptr_adjust
    bpf_dynptr_clone
    bpf_dynptr_copy
    bpf_dynptr_is_null
    bpf_dynptr_is_rdonly
    bpf_dynptr_memset
    bpf_dynptr_size
    bpf_dynptr_slice ret_null
    bpf_dynptr_slice_rdwr ret_null
    bpf_get_kmem_cache
    bpf_iter_bits_destroy iter_destroy
    bpf_iter_bits_new iter_new
    bpf_iter_bits_next ret_null iter_next
    bpf_iter_css_destroy iter_destroy
    bpf_iter_css_new trusted iter_new rcu_protected
    bpf_iter_css_next ret_null iter_next
    bpf_iter_css_task_destroy iter_destroy
    bpf_iter_css_task_new trusted iter_new
    bpf_iter_css_task_next ret_null iter_next
    bpf_iter_dmabuf_destroy sleepable iter_destroy
    bpf_iter_dmabuf_new sleepable iter_new
    bpf_iter_dmabuf_next ret_null sleepable iter_next
    bpf_iter_kmem_cache_destroy sleepable iter_destroy
    bpf_iter_kmem_cache_new sleepable iter_new
    bpf_iter_kmem_cache_next ret_null sleepable iter_next
    bpf_iter_num_destroy iter_destroy
    bpf_iter_num_new iter_new
    bpf_iter_num_next ret_null iter_next
    bpf_iter_task_destroy iter_destroy
    bpf_iter_task_new trusted iter_new rcu_protected
    bpf_iter_task_next ret_null iter_next
    bpf_iter_task_vma_destroy iter_destroy
    bpf_iter_task_vma_new rcu iter_new
    bpf_iter_task_vma_next ret_null iter_next
    bpf_local_irq_restore
    bpf_local_irq_save
    bpf_map_sum_elem_count trusted
    bpf_modify_return_test_tp
    bpf_preempt_disable
    bpf_preempt_enable
    bpf_probe_read_kernel_dynptr
    bpf_probe_read_kernel_str_dynptr
    bpf_probe_read_user_dynptr
    bpf_probe_read_user_str_dynptr
    bpf_rcu_read_lock
    bpf_rcu_read_unlock
    bpf_rdonly_cast fastcall
    bpf_res_spin_lock ret_null
    bpf_res_spin_lock_irqsave ret_null
    bpf_res_spin_unlock
    bpf_res_spin_unlock_irqrestore
    bpf_strcasecmp
    bpf_strchr
    bpf_strchrnul
    bpf_strcmp
    bpf_strcspn
    bpf_stream_vprintk_impl trusted
    bpf_strlen
    bpf_strnchr
    bpf_strnlen
    bpf_strnstr
    bpf_strrchr
    bpf_strspn
    bpf_strstr
    bpf_task_work_schedule_resume_impl trusted
    bpf_task_work_schedule_signal_impl trusted
    bpf_wq_init
    bpf_wq_set_callback_impl
    bpf_wq_start
  `,
  generic: `
    bpf_cgroup_acquire acquire ret_null rcu
    bpf_cgroup_ancestor acquire ret_null rcu
    bpf_cgroup_from_id acquire ret_null
    bpf_cgroup_release release
    bpf_key_put release
    bpf_list_back ret_null
    bpf_list_front ret_null
    bpf_list_pop_back acquire ret_null
    bpf_list_pop_front acquire ret_null
    bpf_list_push_back_impl
    bpf_list_push_front_impl
    bpf_lookup_system_key acquire ret_null
    bpf_lookup_user_key acquire ret_null sleepable
    bpf_obj_drop_impl release
    bpf_obj_new_impl acquire ret_null
    bpf_percpu_obj_drop_impl release
    bpf_percpu_obj_new_impl acquire ret_null
    bpf_rbtree_add_impl
    bpf_rbtree_first ret_null
    bpf_rbtree_left ret_null
    bpf_rbtree_remove acquire ret_null
    bpf_rbtree_right ret_null
    bpf_rbtree_root ret_null
    bpf_refcount_acquire_impl acquire ret_null rcu
    bpf_send_signal_task trusted
    bpf_task_acquire acquire ret_null rcu
    bpf_task_from_pid acquire ret_null
    bpf_task_from_vpid acquire ret_null
    bpf_task_get_cgroup1 acquire ret_null rcu
    bpf_task_release release
    bpf_task_under_cgroup rcu
    bpf_throw
    bpf_verify_pkcs7_signature sleepable
  `,
  cpumask: `
    bpf_cpumask_acquire acquire trusted
    bpf_cpumask_and rcu
    bpf_cpumask_any_and_distribute rcu
    bpf_cpumask_any_distribute rcu
    bpf_cpumask_clear rcu
    bpf_cpumask_clear_cpu rcu
    bpf_cpumask_copy rcu
    bpf_cpumask_create acquire ret_null
    bpf_cpumask_empty rcu
    bpf_cpumask_equal rcu
    bpf_cpumask_first rcu
    bpf_cpumask_first_and rcu
    bpf_cpumask_first_zero rcu
    bpf_cpumask_full rcu
    bpf_cpumask_intersects rcu
    bpf_cpumask_or rcu
    bpf_cpumask_populate rcu
    bpf_cpumask_release release
    bpf_cpumask_set_cpu rcu
    bpf_cpumask_setall rcu
    bpf_cpumask_subset rcu
    bpf_cpumask_test_and_clear_cpu rcu
    bpf_cpumask_test_and_set_cpu rcu
    bpf_cpumask_test_cpu rcu
    bpf_cpumask_weight rcu
    bpf_cpumask_xor rcu
  `,
  crypto: `
    bpf_crypto_decrypt rcu
    bpf_crypto_encrypt rcu
  `,
  crypto_init: `
    bpf_crypto_ctx_acquire acquire ret_null rcu
    bpf_crypto_ctx_create acquire ret_null sleepable
    bpf_crypto_ctx_release release
  `,
  skb: `
    bpf_dynptr_from_skb trusted
  `,
  skb_meta: `
    bpf_dynptr_from_skb_meta trusted
  `,
  xdp: `
    bpf_dynptr_from_xdp
    bpf_xdp_get_xfrm_state acquire ret_null
    bpf_xdp_pull_data
    bpf_xdp_xfrm_state_release release
  `,
  xdp_metadata: `
    bpf_xdp_metadata_rx_hash trusted
    bpf_xdp_metadata_rx_timestamp trusted
    bpf_xdp_metadata_rx_vlan_tag trusted
  `,
  conntrack: `
    bpf_ct_change_status trusted
    bpf_ct_change_timeout trusted
    bpf_ct_insert_entry acquire release ret_null
    bpf_ct_release release
    bpf_ct_set_nat_info trusted
    bpf_ct_set_status trusted
    bpf_ct_set_timeout trusted
    bpf_skb_ct_alloc acquire ret_null
    bpf_skb_ct_lookup acquire ret_null
    bpf_xdp_ct_alloc acquire ret_null
    bpf_xdp_ct_lookup acquire ret_null
  `,
  flow_table: `
    bpf_xdp_flow_lookup ret_null
  `,
  tc: `
    bpf_sk_assign_tcp_reqsk trusted
  `,
  cgroup: `
    bpf_sock_addr_set_sun_path
    bpf_sock_ops_enable_tx_tstamp trusted
  `,
  tracing: `
    css_rstat_flush sleepable
    css_rstat_updated
  `,
  sock_iter: `
    bpf_sock_destroy trusted
  `,
  fs: `
    bpf_get_dentry_xattr trusted sleepable
    bpf_get_file_xattr trusted sleepable
    bpf_get_fsverity_digest trusted
    bpf_get_task_exe_file acquire ret_null trusted
    bpf_path_d_path trusted
    bpf_put_file release
    bpf_remove_dentry_xattr trusted sleepable
    bpf_set_dentry_xattr trusted sleepable
  `,
  session: `
    bpf_session_cookie
    bpf_session_is_return
  `,
  test: `
    bpf_kfunc_call_memb_release release
    bpf_kfunc_call_test_release release
  `,
  tcp_ca: `
    bbr_cwnd_event
    bbr_init
    bbr_main
    bbr_min_tso_segs
    bbr_set_state
    bbr_sndbuf_expand
    bbr_ssthresh
    bbr_undo_cwnd
    cubictcp_acked
    cubictcp_cong_avoid
    cubictcp_cwnd_event
    cubictcp_init
    cubictcp_recalc_ssthresh
    cubictcp_state
    dctcp_cwnd_event
    dctcp_cwnd_undo
    dctcp_init
    dctcp_ssthresh
    dctcp_state
    dctcp_update_alpha
    tcp_cong_avoid_ai
    tcp_reno_cong_avoid
    tcp_reno_ssthresh
    tcp_reno_undo_cwnd
    tcp_slow_start
  `,
  crash: `
    crash_kexec destructive
  `,
  fou: `
    bpf_skb_get_fou_encap
    bpf_skb_set_fou_encap
  `,
  xfrm_interface: `
    bpf_skb_get_xfrm_info
    bpf_skb_set_xfrm_info
  `,
  qdisc: `
    bpf_kfree_skb release
    bpf_qdisc_bstats_update
    bpf_qdisc_init_prologue
    bpf_qdisc_reset_destroy_epilogue
    bpf_qdisc_skb_drop release
    bpf_qdisc_watchdog_schedule
    bpf_skb_get_hash
  `,
  hid: `
    hid_bpf_get_data ret_null
  `,
  hid_syscall: `
    hid_bpf_allocate_context acquire ret_null sleepable
    hid_bpf_hw_output_report sleepable
    hid_bpf_hw_request sleepable
    hid_bpf_input_report sleepable
    hid_bpf_release_context release sleepable
  `,
  hid_struct_ops: `
    hid_bpf_try_input_report
  `,
  scx_ops: `
    scx_bpf_dispatch_cancel
    scx_bpf_dispatch_nr_slots
    scx_bpf_dsq_insert rcu
    scx_bpf_dsq_insert_vtime rcu
    scx_bpf_dsq_move_to_local
    scx_bpf_reenqueue_local
  `,
  scx_unlocked: `
    scx_bpf_create_dsq sleepable
    scx_bpf_dsq_move rcu
    scx_bpf_dsq_move_set_slice rcu
    scx_bpf_dsq_move_set_vtime rcu
    scx_bpf_dsq_move_vtime rcu
  `,
  scx_any: `
    bpf_iter_scx_dsq_destroy iter_destroy
    bpf_iter_scx_dsq_new iter_new rcu_protected
    bpf_iter_scx_dsq_next ret_null iter_next
    scx_bpf_cpu_curr ret_null rcu_protected
    scx_bpf_cpu_node
    scx_bpf_cpu_rq
    scx_bpf_cpuperf_cap
    scx_bpf_cpuperf_cur
    scx_bpf_cpuperf_set
    scx_bpf_destroy_dsq
    scx_bpf_dsq_nr_queued
    scx_bpf_dump_bstr
    scx_bpf_error_bstr
    scx_bpf_events
    scx_bpf_exit_bstr
    scx_bpf_get_idle_cpumask acquire
    scx_bpf_get_idle_cpumask_node acquire
    scx_bpf_get_idle_smtmask acquire
    scx_bpf_get_idle_smtmask_node acquire
    scx_bpf_get_online_cpumask acquire
    scx_bpf_get_possible_cpumask acquire
    scx_bpf_kick_cpu
    scx_bpf_locked_rq ret_null
    scx_bpf_now
    scx_bpf_nr_cpu_ids
    scx_bpf_nr_node_ids
    scx_bpf_pick_any_cpu rcu
    scx_bpf_pick_any_cpu_node rcu
    scx_bpf_pick_idle_cpu rcu
    scx_bpf_pick_idle_cpu_node rcu
    scx_bpf_put_cpumask release
    scx_bpf_put_idle_cpumask release
    scx_bpf_select_cpu_and rcu
    scx_bpf_select_cpu_dfl rcu
    scx_bpf_task_cgroup acquire rcu
    scx_bpf_task_cpu rcu
    scx_bpf_task_running rcu
    scx_bpf_task_set_dsq_vtime rcu
    scx_bpf_task_set_slice rcu
    scx_bpf_test_and_clear_cpu_idle
  `,
  fmod_ret: `
    bpf_fentry_test1 sleepable
    bpf_modify_return_test
    bpf_modify_return_test2
    update_socket_protocol
  `,
} as const;
