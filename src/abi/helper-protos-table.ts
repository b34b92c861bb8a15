/**
 * Prototypes of the helpers of Linux 6.18, one line a prototype: what the verifier demands of each argument and
 * what it knows of the result. `name/variant` where program types get different prototypes of one helper
 * (src/verifier/env/helper-sets.ts says which). Notation: helper-protos.ts. Facts from the `bpf_func_proto`
 * tables of kernel/bpf, kernel/trace and net/core, checked against a running 6.18 (test/oracle/helper-sweep.ts).
 */
export const HELPER_PROTO_TABLE = `
map_lookup_elem(map, map_key): map_value+null pkt
map_update_elem(map, map_key, map_value, any): int pkt
map_delete_elem(map, map_key): int pkt
probe_read(mem+uninit+write, size_or_zero, any): int gpl
ktime_get_ns(): int
trace_printk(mem+ro, size): int gpl
get_prandom_u32(): int
get_smp_processor_id(): int fastcall
get_smp_processor_id/raw(): int
skb_store_bytes(ctx, any, mem+ro, size, any): int changes_pkt
l3_csum_replace(ctx, any, any, any, any): int changes_pkt
l4_csum_replace(ctx, any, any, any, any): int changes_pkt
tail_call(ctx, map, any): void changes_pkt
clone_redirect(ctx, any, any): int changes_pkt
get_current_pid_tgid(): int
get_current_uid_gid(): int
get_current_comm(mem+uninit+write, size): int
get_cgroup_classid(ctx): int
get_cgroup_classid/current(): int
skb_vlan_push(ctx, any, any): int changes_pkt
skb_vlan_pop(ctx): int changes_pkt
skb_get_tunnel_key(ctx, mem+uninit+write, size, any): int
skb_set_tunnel_key(ctx, mem+ro, size, any): int
perf_event_read(map, any): int gpl
redirect(any, any): int
get_route_realm(ctx): int
perf_event_output(ctx, map, any, mem+ro, size_or_zero): int gpl
skb_load_bytes(ctx, any, mem+uninit+write, size): int
get_stackid(ctx, map, any): int gpl
get_stackid/perf_event(ctx, map, any): int
csum_diff(mem+null+ro, size_or_zero, mem+null+ro, size_or_zero, any): int pkt
skb_get_tunnel_opt(ctx, mem+uninit+write, size): int
skb_set_tunnel_opt(ctx, mem+ro, size): int
skb_change_proto(ctx, any, any): int changes_pkt
skb_change_type(ctx, any): int
skb_under_cgroup(ctx, map, any): int
get_hash_recalc(ctx): int
get_current_task(): int gpl
probe_write_user(any, mem+ro, size): int gpl
current_task_under_cgroup(map, any): int
skb_change_tail(ctx, any, any): int changes_pkt
skb_pull_data(ctx, any): int changes_pkt
csum_update(ctx, any): int
set_hash_invalid(ctx): int
get_numa_node_id(): int
skb_change_head(ctx, any, any): int changes_pkt
xdp_adjust_head(ctx, any): int changes_pkt
probe_read_str(mem+uninit+write, size_or_zero, any): int gpl
get_socket_cookie(ctx): int
get_socket_cookie/sk(btf_id_sock_common+null): int
get_socket_uid(ctx): int
set_hash(ctx, any): int
setsockopt(ctx, any, any, mem+ro, size): int
setsockopt/sk(btf_id_sock_common, any, any, mem+ro, size): int
skb_adjust_room(ctx, any, any, any): int changes_pkt
redirect_map(map, any, any): int
sk_redirect_map(ctx, map, any, any): int
sock_map_update(ctx, map, map_key, any): int pkt
xdp_adjust_meta(ctx, any): int changes_pkt
perf_event_read_value(map, any, mem+uninit+write, size): int gpl
perf_prog_read_value(ctx, mem+uninit+write, size): int gpl
getsockopt(ctx, any, any, mem+uninit+write, size): int
getsockopt/sk(btf_id_sock_common, any, any, mem+uninit+write, size): int
override_return(ctx, any): int gpl
sock_ops_cb_flags_set(ctx, any): int
msg_redirect_map(ctx, map, any, any): int
msg_apply_bytes(ctx, any): int
msg_cork_bytes(ctx, any): int
msg_pull_data(ctx, any, any, any): int changes_pkt
bind(ctx, mem+ro, size): int
xdp_adjust_tail(ctx, any): int changes_pkt
skb_get_xfrm_state(ctx, any, mem+uninit+write, size, any): int
get_stack(ctx, mem+uninit+write, size_or_zero, any): int gpl
get_stack/sleepable(ctx, mem+uninit+write, size_or_zero, any): int gpl sleeps
skb_load_bytes_relative(ctx, any, mem+uninit+write, size, any): int
fib_lookup(ctx, mem+write, size, any): int gpl
sock_hash_update(ctx, map, map_key, any): int pkt
msg_redirect_hash(ctx, map, map_key, any): int
sk_redirect_hash(ctx, map, map_key, any): int
lwt_push_encap(ctx, any, mem+ro, size): int changes_pkt
lwt_seg6_store_bytes(ctx, any, mem+ro, size): int changes_pkt
lwt_seg6_adjust_srh(ctx, any, any): int changes_pkt
lwt_seg6_action(ctx, any, mem+ro, size): int changes_pkt
rc_repeat(ctx): int gpl
rc_keydown(ctx, any, any, any): int gpl
skb_cgroup_id(ctx): int
get_current_cgroup_id(): int
get_local_storage(map, any): map_value
sk_select_reuseport(ctx, map, map_key, any): int
skb_ancestor_cgroup_id(ctx, any): int
sk_lookup_tcp(ctx, mem+ro, size_or_zero, any, any): socket+null pkt
sk_lookup_tcp/sock_addr(ctx, mem+ro, size_or_zero, any, any): socket+null
sk_lookup_udp(ctx, mem+ro, size_or_zero, any, any): socket+null pkt
sk_lookup_udp/sock_addr(ctx, mem+ro, size_or_zero, any, any): socket+null
sk_release(btf_id_sock_common+release): int
map_push_elem(map, map_value, any): int pkt
map_pop_elem(map, map_value+uninit+write): int
map_peek_elem(map, map_value+uninit+write): int
msg_push_data(ctx, any, any, any): int changes_pkt
msg_pop_data(ctx, any, any, any): int changes_pkt
rc_pointer_rel(ctx, any, any): int gpl
spin_lock(spin_lock): void
spin_unlock(spin_lock): void
sk_fullsock(sock_common): socket+null
tcp_sock(sock_common): tcp_sock+null
skb_ecn_set_ce(ctx): int
get_listener_sock(sock_common): socket+null
skc_lookup_tcp(ctx, mem+ro, size_or_zero, any, any): sock_common+null pkt
skc_lookup_tcp/sock_addr(ctx, mem+ro, size_or_zero, any, any): sock_common+null
tcp_check_syncookie(btf_id_sock_common, mem+ro, size, mem+ro, size): int gpl pkt
sysctl_get_name(ctx, mem+write, size, any): int
sysctl_get_current_value(ctx, mem+uninit+write, size): int
sysctl_get_new_value(ctx, mem+uninit+write, size): int
sysctl_set_new_value(ctx, mem+ro, size): int
strtol(mem+ro, size, any, mem[8]+uninit+write+aligned): int
strtoul(mem+ro, size, any, mem[8]+uninit+write+aligned): int
sk_storage_get(map, btf_id_sock_common, map_value+null, any): map_value+null
sk_storage_get/ctx(map, ctx, map_value+null, any): map_value+null
sk_storage_get/tracing(map, btf_id:sock_common+null, map_value+null, any): map_value+null in:sk_storage_tracing
sk_storage_delete(map, btf_id_sock_common): int
sk_storage_delete/tracing(map, btf_id:sock_common+null): int in:sk_storage_tracing
send_signal(any): int
tcp_gen_syncookie(btf_id_sock_common, mem+ro, size, mem+ro, size): int gpl pkt
skb_output(btf_id:sk_buff, map, any, mem+ro, size_or_zero): int gpl
probe_read_user(mem+uninit+write, size_or_zero, any): int gpl
probe_read_kernel(mem+uninit+write, size_or_zero, any): int gpl
probe_read_user_str(mem+uninit+write, size_or_zero, any): int gpl
probe_read_kernel_str(mem+uninit+write, size_or_zero, any): int gpl
tcp_send_ack(btf_id:tcp_sock, any): int
send_signal_thread(any): int
jiffies64(): int
read_branch_records(ctx, mem+null+write, size_or_zero, any): int gpl
get_ns_current_pid_tgid(any, any, mem+uninit+write, size): int
xdp_output(btf_id:xdp_buff, map, any, mem+ro, size_or_zero): int gpl
get_netns_cookie(ctx+null): int
get_current_ancestor_cgroup_id(any): int
sk_assign(ctx, btf_id_sock_common, any): int
sk_assign/sk_lookup(ctx, socket+null, any): int
ktime_get_boot_ns(): int
seq_printf(btf_id:seq_file, mem+ro, size, mem+null+ro, size_or_zero): int gpl
seq_write(btf_id:seq_file, mem+ro, size_or_zero): int gpl
sk_cgroup_id(btf_id_sock_common): int
sk_ancestor_cgroup_id(btf_id_sock_common, any): int
ringbuf_output(map, mem+ro, size_or_zero, any): int
ringbuf_reserve(map, alloc_size_or_zero, any): mem+null+ringbuf
ringbuf_submit(ringbuf_mem+release, any): void
ringbuf_discard(ringbuf_mem+release, any): void
ringbuf_query(map, any): int
csum_level(ctx, any): int
skc_to_tcp6_sock(btf_id_sock_common): btf_id:tcp6_sock+null
skc_to_tcp_sock(btf_id_sock_common): btf_id:tcp_sock+null
skc_to_tcp_timewait_sock(btf_id_sock_common): btf_id:tcp_timewait_sock+null
skc_to_tcp_request_sock(btf_id_sock_common): btf_id:tcp_request_sock+null
skc_to_udp6_sock(btf_id_sock_common): btf_id:udp6_sock+null
get_task_stack(btf_id:task_struct, mem+uninit+write, size_or_zero, any): int
get_task_stack/sleepable(btf_id:task_struct, mem+uninit+write, size_or_zero, any): int sleeps
load_hdr_opt(ctx, mem+write, size, any): int
store_hdr_opt(ctx, mem+ro, size, any): int changes_pkt
reserve_hdr_opt(ctx, any, any): int
inode_storage_get(map, btf_id:inode+null, map_value+null, any): map_value+null
inode_storage_delete(map, btf_id:inode+null): int
d_path(btf_id:path, mem+write, size_or_zero): int in:d_path
copy_from_user(mem+uninit+write, size_or_zero, any): int sleeps
snprintf_btf(mem+write, size, mem+ro, size, any): int
seq_printf_btf(btf_id:seq_file, mem+ro, size_or_zero, any): int gpl
skb_cgroup_classid(ctx): int
redirect_neigh(any, mem+null+ro, size_or_zero, any): int
per_cpu_ptr(percpu_btf_id, any): mem_or_btf_id+null+ro
this_cpu_ptr(percpu_btf_id): mem_or_btf_id+ro
redirect_peer(any, any): int
task_storage_get(map, btf_id:task_struct+null, map_value+null, any): map_value+null
task_storage_delete(map, btf_id:task_struct+null): int
get_current_task_btf(): btf_id:task_struct+trusted gpl
bprm_opts_set(btf_id:linux_binprm, any): int
ktime_get_coarse_ns(): int
ima_inode_hash(btf_id:inode, mem+uninit+write, size): int sleeps in:ima_hash
sock_from_file(btf_id:file): btf_id:socket+null
check_mtu(ctx, any, mem[4]+write+aligned, any, any): int gpl
for_each_map_elem(map, func, stack+null, any): int
snprintf(mem+null+write, size_or_zero, const_str, mem+null+ro, size_or_zero): int gpl
sys_bpf(any, mem+ro, size): int sleeps
btf_find_by_name_kind(mem+ro, size, any, any): int sleeps
sys_close(any): int sleeps
timer_init(timer, map, any): int gpl
timer_set_callback(timer, func): int gpl
timer_start(timer, any, any): int gpl
timer_cancel(timer): int gpl
get_func_ip(ctx): int gpl
get_func_ip/multi(ctx): int
get_attach_cookie(ctx): int
task_pt_regs(btf_id:task_struct): btf_id:pt_regs gpl
get_branch_snapshot(mem+uninit+write, size_or_zero): int gpl
trace_vprintk(mem+ro, size, mem+null+ro, size_or_zero): int gpl
skc_to_unix_sock(btf_id_sock_common): btf_id:unix_sock+null
kallsyms_lookup_name(mem+ro, size_or_zero, any, mem[8]+uninit+write+aligned): int
find_vma(btf_id:task_struct, any, func, stack+null, any): int
loop(any, func, stack+null, any): int
strncmp(mem+ro, size, const_str): int
get_func_arg(ctx, any, mem[8]+uninit+write+aligned): int
get_func_ret(ctx, mem[8]+uninit+write+aligned): int
get_func_arg_cnt(ctx): int
get_retval(): int
set_retval(any): int
xdp_get_buff_len(ctx): int
xdp_get_buff_len/trace(btf_id:xdp_buff): int
xdp_load_bytes(ctx, any, mem+uninit+write, size): int
xdp_store_bytes(ctx, any, mem+ro, size): int
copy_from_user_task(mem+uninit+write, size_or_zero, any, btf_id:task_struct, any): int gpl sleeps
skb_set_tstamp(ctx, any, any): int
ima_file_hash(btf_id:file, mem+uninit+write, size): int sleeps in:ima_hash
kptr_xchg(kptr_xchg_dest, btf_id+null+release): btf_id+null
map_lookup_percpu_elem(map, map_key, any): map_value+null pkt
skc_to_mptcp_sock(sock_common): btf_id:mptcp_sock+null
dynptr_from_mem(mem+uninit+write, size_or_zero, any, dynptr+uninit+write+local): int
ringbuf_reserve_dynptr(map, any, any, dynptr+uninit+write+ringbuf): int
ringbuf_submit_dynptr(dynptr+ringbuf+release, any): void
ringbuf_discard_dynptr(dynptr+ringbuf+release, any): void
dynptr_read(mem+uninit+write, size_or_zero, dynptr+ro, any, any): int
dynptr_write(dynptr+ro, any, mem+ro, size_or_zero, any): int
dynptr_data(dynptr+ro, any, alloc_size_or_zero): mem+null
tcp_raw_gen_syncookie_ipv4(mem[20]+ro, mem+ro, size_or_zero): int gpl pkt
tcp_raw_gen_syncookie_ipv6(mem[40]+ro, mem+ro, size_or_zero): int gpl pkt
tcp_raw_check_syncookie_ipv4(mem[20]+ro, mem[20]+ro): int gpl pkt
tcp_raw_check_syncookie_ipv6(mem[40]+ro, mem[20]+ro): int gpl pkt
ktime_get_tai_ns(): int
user_ringbuf_drain(map, func, stack+null, any): int
cgrp_storage_get(map, btf_id:cgroup+null, map_value+null, any): map_value+null
cgrp_storage_delete(map, btf_id:cgroup+null): int
`;
