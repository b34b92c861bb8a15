/**
 * The machine that libbpf relocates for, as our loader's options: the kernel's types, configuration, version
 * and symbols. Parts that this machine does not have are left out.
 */
import { existsSync, readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { Btf } from '../../../src/object/btf/btf.js';
import type { RelocateOptions } from '../../../src/object/relocate.js';

export const VMLINUX_BTF = '/sys/kernel/btf/vmlinux';

function kernelConfig(): string {
  const boot = `/boot/config-${release()}`;
  if (existsSync(boot)) return readFileSync(boot, 'utf8');
  const proc = '/proc/config.gz';
  return existsSync(proc) ? gunzipSync(readFileSync(proc)).toString('utf8') : '';
}

function configValues(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  );
}

/** `KERNEL_VERSION(a, b, c)` of the running kernel. */
export function kernelVersion(): number {
  const [major = 0, minor = 0, patch = 0] = release().split(/[.-]/).map(Number);
  return (major << 16) | (minor << 8) | Math.min(patch || 0, 255);
}

/** Symbols with their addresses (0 where they are hidden from us, which libbpf sees alike). */
function kernelSymbols(): Record<string, bigint> {
  const symbols: Record<string, bigint> = {};
  if (!existsSync('/proc/kallsyms')) return symbols;
  for (const line of readFileSync('/proc/kallsyms', 'utf8').split('\n')) {
    const [address, , name] = line.split(/\s+/);
    if (address === undefined || name === undefined) continue;
    symbols[name] ??= BigInt(`0x${address}`);
  }
  return symbols;
}

/** Undefined where the kernel does not show its types. */
export function hostTarget(): RelocateOptions | undefined {
  if (!existsSync(VMLINUX_BTF)) return undefined;
  const kconfig = kernelConfig();
  const probes = existsSync('/sys/bus/event_source/devices/kprobe/type');
  return {
    targetBtf: Btf.parse(new Uint8Array(readFileSync(VMLINUX_BTF)), { file: VMLINUX_BTF }),
    kernelVersion: kernelVersion(),
    ksyms: kernelSymbols(),
    cpus: cpus().length,
    // libbpf finds out about system call wrappers by setting a probe on one
    kconfig: { ...configValues(kconfig), ...(probes ? {} : { LINUX_HAS_SYSCALL_WRAPPER: 'n' }) },
  };
}
