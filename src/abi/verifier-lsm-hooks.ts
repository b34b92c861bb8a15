/**
 * Hooks of the BPF LSM by what programs on them may do. Names without the `bpf_lsm_` prefix; the lists are those
 * of kernel/bpf/bpf_lsm.c in Linux 6.12 (a program on one of these hooks could not be loaded where 6.18 was observed).
 */
const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** May sleep: programs with BPF_F_SLEEPABLE. */
export const SLEEPABLE_LSM_HOOKS = words(`
  bpf bpf_map bpf_map_create bpf_map_free bpf_prog bpf_prog_load bpf_token_create bpf_token_free
  bpf_token_cmd bpf_token_capable bprm_check_security bprm_committed_creds bprm_committing_creds
  bprm_creds_for_exec bprm_creds_from_file capget capset cred_prepare file_ioctl file_lock
  file_open file_post_open file_receive inode_create inode_free_security inode_getattr
  inode_getxattr inode_mknod inode_need_killpriv inode_post_setxattr inode_readlink inode_rename
  inode_rmdir inode_setattr inode_setxattr inode_symlink inode_unlink kernel_module_request
  kernel_read_file kernfs_init_security path_unlink path_mkdir path_rmdir path_truncate
  path_symlink path_link path_rename path_chmod path_chown mmap_file netlink_send path_notify
  release_secctx sb_alloc_security sb_eat_lsm_opts sb_kern_mount sb_mount sb_remount
  sb_set_mnt_opts sb_show_options sb_statfs sb_umount settime socket_accept socket_bind
  socket_connect socket_create socket_getpeername socket_getpeersec_dgram socket_getsockname
  socket_getsockopt socket_listen socket_post_create socket_recvmsg socket_sendmsg socket_shutdown
  socket_socketpair syslog task_alloc current_getsecid_subj task_getsecid_obj task_prctl
  task_setscheduler userns_create
`);

/** Run while their argument is being set up or torn down: pointers to it are not trusted. */
export const UNTRUSTED_LSM_HOOKS = words(`
  bpf_map_free bpf_prog_free file_alloc_security file_free_security sk_alloc_security
  sk_free_security task_free
`);

/** No program may be attached. */
export const DISABLED_LSM_HOOKS = words(`
  vm_enough_memory inode_need_killpriv inode_getsecurity inode_listsecurity inode_copy_up_xattr
  getselfattr getprocattr setprocattr key_getsecurity audit_rule_match xfrm_decode_session
  ismaclabel
`);
