/**
 * How frames come in: an interrupt of the device's queue on a CPU, the NET_RX softirq that it raises, and the poll there.
 * On RT the interrupt's handler and with it the softirq run in the queue's thread. Models `net_rx_action` (net/core/dev.c).
 */
import type { IrqLine } from '../irq/lines.js';
import { Softirq } from '../irq/softirq.js';
import type { Machine } from '../machine.js';
import type { Flow } from '../sched/flow.js';
import { Task } from '../sched/task.js';
import { firePoint, type ProbePoint } from '../trace/probes.js';
import type { NetDevice, NetDevices, PacketResult } from './attach-device.js';

/** Frames that one round of the softirq takes (dev_rx_weight). */
const WEIGHT = 64;
const CALLS = ['net_rx_action', '__napi_poll', '__netif_receive_skb_core'];

export interface Arrival {
  readonly device: NetDevice;
  readonly frame: Uint8Array;
  readonly done: (result: PacketResult) => void;
}

export class NetRx {
  /** By CPU. */
  private readonly backlog: Arrival[][];
  private readonly lines: (IrqLine | undefined)[];
  private readonly threads: (Task | undefined)[];
  private readonly tracepoint: ProbePoint;

  constructor(
    private readonly kernel: Machine,
    private readonly devices: NetDevices,
  ) {
    const { sched, irq } = kernel;
    this.backlog = sched.cpus.map(() => []);
    this.lines = sched.cpus.map(() => undefined);
    this.threads = sched.cpus.map(() => undefined);
    this.tracepoint = sched.probes.point('net:netif_receive_skb');
    irq.softirq.open(Softirq.netRx, () => this.poll());
  }

  /** A frame arrives at a queue whose interrupts go to a CPU; `done` is told what became of it. */
  arrive(cpu: number, device: NetDevice, frame: Uint8Array, done: (result: PacketResult) => void): void {
    this.backlog[cpu]!.push({ device, frame, done });
    this.line(cpu).raise();
  }

  /** The same at a simulated time; `arrived` is told when it is that time. */
  arriveAt(timeNs: number, cpu: number, arrival: Arrival, arrived: () => void): void {
    this.line(cpu).raiseAt(timeNs, () => {
      this.backlog[cpu]!.push(arrival);
      arrived();
    });
  }

  /** What stands for the queue's thread of a CPU where nothing waits, so that no thread has to be woken. */
  thread(cpu: number): Task {
    let task = this.threads[cpu];
    if (task === undefined) {
      const comm = `irq/${this.line(cpu).number}-eth0-rx-${cpu}`;
      const pid = this.kernel.sched.kthreadPid();
      const who = { pid, tgid: pid, comm, uid: 0, gid: 0, kthread: true };
      task = new Task({ ...who, policy: 'fifo', rtPriority: 50, affinity: [cpu] });
      task.state = 'running';
      this.threads[cpu] = task;
    }
    return task;
  }

  private line(cpu: number): IrqLine {
    const { irq } = this.kernel;
    let line = this.lines[cpu];
    if (line === undefined) {
      line = irq.request({
        name: `eth0-rx-${cpu}`,
        cpu,
        handler: function* () {
          irq.softirq.raise(Softirq.netRx);
          return 'handled';
        },
      });
      this.lines[cpu] = line;
    }
    return line;
  }

  private *poll(): Flow<void> {
    const { sched, irq } = this.kernel;
    const { id, calls } = sched.here;
    const queue = this.backlog[id]!;
    calls.push(...CALLS);
    sched.current.rcuDepth++;
    for (let taken = 0; taken < WEIGHT; taken++) {
      const arrival = queue.shift();
      if (arrival === undefined) break;
      const { device, frame, done } = arrival;
      if (this.tracepoint.armed) yield* firePoint(this.tracepoint, [0n, frame.length, device.name]);
      done(yield* this.devices.receive(device, frame));
    }
    sched.current.rcuDepth--;
    calls.splice(-CALLS.length);
    if (queue.length > 0) irq.softirq.raise(Softirq.netRx);
  }
}
