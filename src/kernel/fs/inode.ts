/** An inode: what an open file, a directory or a socket is to the file system. Models `struct inode` (include/linux/fs.h). */
import { KernelObject, type ObjectHost } from '../lib/kernel-object.js';

export class Inode extends KernelObject {
  constructor(
    host: ObjectHost,
    readonly number: bigint,
    /** Type and permission bits (`S_IFREG | 0644`, …). */
    readonly mode = 0o100644,
  ) {
    super(host, 'inode');
  }

  protected override fill(): void {
    this.put('i_ino', this.number, 8);
    this.put('i_mode', BigInt(this.mode), 2);
  }
}
