/** The error numbers that verification can end in, as Linux numbers them (asm-generic/errno*.h). */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  E2BIG: 7,
  EBADF: 9,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ERANGE: 34,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  ENOTSUPP: 524,
} as const;
