/** The BPF objects that Debian packages ship, where the packages are installed. */
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';

/** Packages with BPF objects in Debian 12. `xdp-tools` itself has none; its objects come with libxdp1. */
export const PACKAGES = [
  'libxdp1',
  'xdp-tools',
  'xdp-tests',
  'ir-keytable',
  'golang-github-cilium-ebpf-dev',
  'golang-gvisor-gvisor-dev',
] as const;

export interface PackageObjects {
  readonly name: string;
  /** Undefined where the package is not installed. */
  readonly files?: readonly string[];
}

/** Files named like objects in each package; links to the same file once. */
export function debianObjects(): PackageObjects[] {
  return PACKAGES.map((name) => {
    const listing = spawnSync('dpkg-query', ['-L', name], { encoding: 'utf8' });
    if (listing.status !== 0) return { name };
    const files = listing.stdout.split('\n').filter((file) => /\.(o|elf)$/.test(file));
    return { name, files: [...new Set(files.map((file) => realpathSync(file)))].sort() };
  });
}
