/**
 * What can happen in a simulated kernel, as flows: to be driven by the host, or to be part of what a simulated task does.
 * Each begins in the context that the current CPU is in; where Linux enters another one for the event, the flow does.
 */
import type { AttachType } from '../../abi/attach-types.js';
import { ProgType } from '../../abi/prog-types.js';
import type { BpfProg } from '../bpf/prog.js';
import { pin, unpin } from '../bpf/recursion.js';
import type { CgroupEventOptions, Cgroups, ContextFields, HookResult } from '../cgroup/attach.js';
import { type AddressCall, checkAddress, type SocketAddress } from '../cgroup/sock-addr.js';
import { DEFAULT_LIRC, type LircDevices } from '../media/lirc.js';
import { checkFrame, type NetDevice, type NetDevices, type PacketResult } from '../net/attach-device.js';
import type { NetHooks, TriggerInput, TriggerResult } from '../net/attach-hooks.js';
import type { SocketInput } from '../net/attach-socket.js';
import { triggeredIn } from '../net/context-run.js';
import type { InetSock } from '../net/inet-sock.js';
import type { MessagePart } from '../net/packet-result.js';
import type { SockOpsEvent, TcpEvents } from '../net/sock-ops.js';
import { type Flow, point } from '../sched/flow.js';
import type { Tracing } from '../trace/bpf-trace.js';
import { fullEventName } from '../trace/event-names.js';
import { firePoint, inFunction, type ProbeArg } from '../trace/probes.js';
import type { SyscallBody, SyscallResult, Syscalls } from '../trace/syscalls.js';
import type { Uprobes } from '../trace/uprobe.js';

/** A system call's outcome beside its value. */
export interface AddressResult extends SyscallResult {
  /** The address that the programs of the task's control group left. */
  readonly address: SocketAddress;
}

export interface EventParts {
  readonly tracing: Tracing;
  readonly syscalls: Syscalls;
  readonly uprobes: Uprobes;
  readonly devices: NetDevices;
  readonly cgroups: Cgroups;
  readonly hooks: NetHooks;
  readonly sockets: SocketInput;
  readonly tcp: TcpEvents;
  readonly lirc: LircDevices;
}

const BETWEEN_RUNS = point('between two test runs');

export class Events {
  constructor(private readonly parts: EventParts) {}

  /** A function of the kernel is called: its probes fire; `body` is what it does, `result` what it returns otherwise. */
  *callFunction(name: string, args: readonly ProbeArg[], body: () => Flow<ProbeArg>): Flow<ProbeArg> {
    const { sched } = this.parts.tracing.kernel;
    return yield* inFunction(sched.here.calls, sched.probes.point(name), args, body);
  }

  /** A tracepoint is passed: whether anybody watches it. `raw`: its arguments, where they are not its record's fields. */
  *tracepoint(name: string, fields: readonly ProbeArg[], raw?: readonly ProbeArg[]): Flow<boolean> {
    const { probes } = this.parts.tracing.kernel.sched;
    const point = probes.point(fullEventName(name, probes.names()));
    const { armed } = point;
    yield* firePoint(point, fields, raw);
    return armed;
  }

  /** A function of user space is called, at `path:function`, and, where there is a result, returns: whether anybody watches it. */
  uprobe(place: string, args: readonly ProbeArg[], result?: ProbeArg): Flow<boolean> {
    return this.parts.uprobes.hit(place, args, result);
  }

  /** The current task makes a system call. */
  syscall(name: string, args: readonly ProbeArg[], body: SyscallBody): Flow<SyscallResult> {
    return this.parts.syscalls.invoke(name, args, body);
  }

  /** A system call about an address: the programs of the task's control group have their say. */
  *address(call: AddressCall, address: SocketAddress): Flow<AddressResult> {
    const { cgroups, syscalls } = this.parts;
    let left = address;
    const result = yield* syscalls.invoke(call, [3, 0, 16], function* () {
      const { errno, address: after } = yield* checkAddress(cgroups, call, address);
      if (errno === 0) left = after;
      return errno;
    });
    return { ...result, address: left };
  }

  /** A message is sent on a socket: the programs of its socket map decide, part by part. */
  *sendmsg(sock: InetSock, message: Uint8Array): Flow<MessagePart[]> {
    const { sockets, syscalls } = this.parts;
    let parts: MessagePart[] = [];
    yield* syscalls.invoke('sendmsg', [3, 0, 0], function* () {
      parts = yield* sockets.maps.send(sock, message);
      return message.length;
    });
    return parts;
  }

  /** Something happens to a TCP socket that `sock_ops` programs of its control group are told; the answer, -1 for none. */
  sockOps(sock: InetSock, event: SockOpsEvent): Flow<number> {
    return this.parts.tcp.event(sock, event);
  }

  /** A sample of an infrared receiver, decoded in its thread. */
  lirc(sample: number, device = DEFAULT_LIRC): Flow<void> {
    return this.parts.lirc.sample(device, sample);
  }

  /**
   * An event that the programs of the current task's control group have a say in. `data`: what the context's pointers of
   * 64 bits lead to. Throws `UnsupportedError` for a type that is none of theirs.
   */
  *cgroup(type: AttachType, fields: ContextFields, options: CgroupEventOptions = {}): Flow<HookResult> {
    return yield* this.parts.cgroups.hook(type, fields, options);
  }

  /** A hook of the security modules: 0, or what an attached program answered. */
  *lsm(hook: string, args: readonly ProbeArg[]): Flow<number> {
    const allow = function* (): Flow<ProbeArg> {
      return 0;
    };
    const inner = (): Flow<ProbeArg> => this.callFunction(`bpf_lsm_${hook}`, args, allow);
    return Number(yield* this.callFunction(`security_${hook}`, args, inner));
  }

  /** A frame is sent by the current task. */
  transmit(device: NetDevice, frame: Uint8Array): Flow<PacketResult> {
    return this.parts.devices.transmit(device, frame);
  }

  /** BPF_PROG_TEST_RUN by the current task: the task is pinned, and may move only between two runs. */
  *testRun(prog: BpfProg, input: TriggerInput, repeat: number): Flow<number> {
    const { tracing, devices } = this.parts;
    const { sched } = tracing.kernel;
    const device = devices.get('lo');
    const frame = input.data ?? new Uint8Array(0);
    let retval = 0;
    sched.current.rcuDepth++;
    pin(sched, 'pinTestRun', 'bpf_test_run');
    for (let i = 0; i < repeat; i++) {
      if (i > 0 && (sched.interleaved || sched.here.needResched)) {
        unpin(sched, 'pinTestRun');
        sched.current.rcuDepth--;
        yield* sched.point(BETWEEN_RUNS);
        sched.current.rcuDepth++;
        pin(sched, 'pinTestRun', 'bpf_test_run');
      }
      if (prog.type === ProgType.xdp || prog.type === ProgType.sched_cls) {
        checkFrame(frame);
        const run =
          prog.type === ProgType.xdp
            ? devices.runXdp(prog, device, frame)
            : devices.runTc([prog], device, 'ingress', frame);
        retval = (yield* run).retval ?? 0;
      } else retval = (yield* this.parts.hooks.trigger(prog, input)).retval;
    }
    unpin(sched, 'pinTestRun');
    sched.current.rcuDepth--;
    return retval;
  }

  /** An event of a program that has no event of its own here (`NetHooks`); in the softirq's stead softirqs are off. */
  *trigger(prog: BpfProg, input: TriggerInput): Flow<TriggerResult> {
    const { softirq } = this.parts.tracing.kernel.irq;
    const bh = triggeredIn(prog.type) === 'softirq';
    if (bh) yield* softirq.disable('trigger');
    const result = yield* this.parts.hooks.trigger(prog, input);
    if (bh) yield* softirq.enable();
    return result;
  }
}
