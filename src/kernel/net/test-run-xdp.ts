/** Test runs of XDP programs. Models `bpf_prog_test_run_xdp` in net/bpf/test_run.c of Linux 6.18, without live frames. */
import { AttachType } from '../../abi/attach-types.js';
import { offsetOf } from '../../abi/context/layout.js';
import { XDP_MD } from '../../abi/context/xdp.js';
import { ETH_HLEN } from '../../abi/packet.js';
import { PAGE_SIZE } from '../../abi/page.js';
import { XdpAction } from '../../abi/xdp.js';
import type { BpfProg } from '../bpf/prog.js';
import { runProg } from '../bpf/run-prog.js';
import { contextBytes, requireInput, type TestRunAttr, type TestRunResult } from '../bpf/test-run-types.js';
import { SyscallError } from '../errors.js';
import type { Machine } from '../machine.js';
import { metadataLengthOk, XDP_PACKET_HEADROOM, XDP_TAILROOM, XdpBuff } from './xdp.js';

/** Fragments that a packet may have (MAX_SKB_FRAGS). */
const MAX_FRAGMENTS = 17;
const XDP_FRAME = 40;
const LOOPBACK_IFINDEX = 1;

interface Input {
  readonly metaLength: number;
  /** Bytes of metadata and packet that the caller wants in one piece. */
  readonly linearLength: number;
  readonly ifindex: number;
  readonly rxQueue: number;
}

/** What the context says about the packet: its `data` is the metadata's length, `data_end` where the linear part ends. */
function readContext(prog: BpfProg, ctxIn: Uint8Array | undefined, dataSize: number): Input {
  if (ctxIn === undefined)
    return { metaLength: 0, linearLength: dataSize, ifindex: LOOPBACK_IFINDEX, rxQueue: 0 };
  const bytes = contextBytes(prog, ctxIn, XDP_MD.size);
  const view = new DataView(bytes.buffer);
  const field = (name: string) => view.getUint32(offsetOf(XDP_MD, name), true);
  const metaLength = field('data');
  const end = field('data_end');
  requireInput(field('data_meta') === 0, prog, 'ctx_in: data_meta must be 0');
  requireInput(end <= dataSize, prog, `ctx_in: data_end ${end} is past the ${dataSize} bytes of input`);
  requireInput(metaLength <= end, prog, `ctx_in: data ${metaLength} is past data_end ${end}`);
  const room = XDP_PACKET_HEADROOM - XDP_FRAME;
  const metaOk = metadataLengthOk(metaLength) && metaLength <= room;
  requireInput(metaOk, prog, `ctx_in: ${metaLength} bytes of metadata are no multiple of 4 up to ${room}`);
  requireInput(field('egress_ifindex') === 0, prog, 'ctx_in: egress_ifindex must be 0');
  const ifindex = field('ingress_ifindex');
  const rxQueue = field('rx_queue_index');
  requireInput(ifindex !== 0 || rxQueue === 0, prog, 'ctx_in: rx_queue_index without ingress_ifindex');
  if (ifindex > LOOPBACK_IFINDEX) throw SyscallError.of('ENODEV', `ctx_in: there is no interface ${ifindex}`);
  requireInput(rxQueue === 0, prog, `ctx_in: interface ${ifindex} has no queue ${rxQueue}`);
  return { metaLength, linearLength: end, ifindex: ifindex || LOOPBACK_IFINDEX, rxQueue };
}

export function testRunXdp(kernel: Machine, prog: BpfProg, attr: TestRunAttr): TestRunResult {
  const data = attr.dataIn ?? new Uint8Array(0);
  const chained =
    prog.expectedAttachType === AttachType.xdp_devmap || prog.expectedAttachType === AttachType.xdp_cpumap;
  requireInput(!chained, prog, 'programs of a devmap or cpumap cannot be test-run');
  const input = readContext(prog, attr.ctxIn, data.length);
  requireInput(data.length - input.metaLength >= ETH_HLEN, prog, `a packet has at least ${ETH_HLEN} bytes`);
  const page = PAGE_SIZE - (XDP_PACKET_HEADROOM - input.metaLength) - XDP_TAILROOM;
  const linearLength = Math.min(input.linearLength, page);
  const fragments = data.slice(linearLength);
  if (fragments.length > MAX_FRAGMENTS * PAGE_SIZE) {
    throw SyscallError.of('ENOMEM', `${data.length} bytes do not fit ${MAX_FRAGMENTS} fragments`, {
      symbol: prog.name,
    });
  }
  const xdp = kernel.net.takeXdp(() => new XdpBuff(kernel.memory));
  xdp.pointers.show(prog.verified);
  xdp.fill(data.subarray(0, linearLength), input.metaLength, fragments, input.ifindex, input.rxQueue);
  const { r0, instructions } = runProg(kernel, prog, { args: [xdp.context.address] }, attr);
  const retval = Number(r0 & 0xffffffffn);
  const { redirect } = kernel.net;
  return {
    retval,
    r0,
    instructions,
    dataOut: xdp.contents(),
    ...(attr.ctxIn === undefined ? {} : { ctxOut: contextAfter(prog, attr.ctxIn, xdp) }),
    ...(retval === XdpAction.XDP_REDIRECT && redirect !== undefined ? { redirect } : {}),
  };
}

function contextAfter(prog: BpfProg, ctxIn: Uint8Array, xdp: XdpBuff): Uint8Array {
  const bytes = contextBytes(prog, ctxIn, XDP_MD.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(offsetOf(XDP_MD, 'data'), xdp.data - xdp.dataMeta, true);
  view.setUint32(offsetOf(XDP_MD, 'data_end'), xdp.dataEnd - xdp.dataMeta, true);
  return bytes;
}
