/**
 * The BPF file system: names that keep maps, programs and links. Models kernel/bpf/inode.c: a path lies under the mount
 * point, a name has no dot, an object has as many names as it is given.
 */
import { SyscallError } from '../errors.js';

/** Where it is mounted. */
const BPFFS = '/sys/fs/bpf';
const MAX_NAME = 255;

export class BpfFs {
  private readonly objects = new Map<string, object>();

  /** BPF_OBJ_PIN. Throws `SyscallError`: EPERM for a place that is none, EEXIST for a name that is taken. */
  pin(path: string, object: object): void {
    requirePath(path);
    if (this.objects.has(path)) throw SyscallError.of('EEXIST', `${path} is there already`);
    this.objects.set(path, object);
  }

  /** BPF_OBJ_GET. Throws `SyscallError` (ENOENT). */
  get(path: string): object {
    const object = this.objects.get(path);
    if (object !== undefined) return object;
    throw SyscallError.of('ENOENT', `${path} is not there`);
  }

  /** unlink(). Throws `SyscallError` (ENOENT). */
  unlink(path: string): void {
    this.get(path);
    this.objects.delete(path);
  }

  /** Paths in use. */
  list(): string[] {
    return [...this.objects.keys()].sort();
  }
}

function requirePath(path: string): void {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const inside = path.startsWith(`${BPFFS}/`) && name !== '' && name.length <= MAX_NAME;
  if (!inside) throw SyscallError.of('EPERM', `${path} is no place in ${BPFFS}`);
  if (path.slice(BPFFS.length).includes('.')) throw SyscallError.of('EPERM', `${path}: a name with a dot`);
}
