/**
 * A context as the kernel's own structure: what `bpf_cast_to_kern_ctx` leads to. The image is made anew at each call, of what
 * the context says then. Models `struct sk_buff` and `struct xdp_buff` as far as programs commonly read them.
 */
import { ProgType } from '../../../abi/prog-types.js';
import type { HelperCall } from '../../../vm/index.js';
import { KernelObject } from '../../lib/kernel-object.js';
import type { Machine } from '../../machine.js';
import type { SkBuff } from '../../net/skb.js';
import type { XdpBuff } from '../../net/xdp.js';

class SkBuffImage extends KernelObject {
  show(skb: SkBuff): void {
    const { memory } = this.host;
    const head = skb.data - (skb.data & 0xfff);
    this.put('len', BigInt(skb.length), 4);
    this.put('data', memory.addressOf(skb.data), 8);
    this.put('head', memory.addressOf(head), 8);
    this.put('mark', BigInt(skb.get('mark')), 4);
    this.put('priority', BigInt(skb.get('priority')), 4);
    this.put('protocol', BigInt(skb.get('protocol')), 2);
    this.put('hash', BigInt(skb.get('hash')), 4);
    this.put('skb_iif', BigInt(skb.get('ingress_ifindex')), 4);
    this.put('network_header', BigInt(skb.networkHeader - head), 2);
    this.put('mac_header', BigInt(skb.macHeader - head), 2);
  }
}

class XdpBuffImage extends KernelObject {
  show(xdp: XdpBuff): void {
    const { memory } = this.host;
    this.put('data', memory.addressOf(xdp.data), 8);
    this.put('data_end', memory.addressOf(xdp.dataEnd), 8);
    this.put('data_meta', memory.addressOf(xdp.dataMeta), 8);
  }
}

interface Images {
  readonly skb: SkBuffImage;
  readonly xdp: XdpBuffImage;
}

const images = new WeakMap<Machine, Images>();

/** Address of the kernel's structure for the context in r1; other contexts are the kernel's structures already. */
export function kernelContext(kernel: Machine, call: HelperCall, type: ProgType): bigint {
  let known = images.get(kernel);
  if (known === undefined) {
    known = { skb: new SkBuffImage(kernel, 'sk_buff'), xdp: new XdpBuffImage(kernel, 'xdp_buff') };
    images.set(kernel, known);
  }
  const { xdp, skb } = kernel.net;
  if (type === ProgType.xdp && xdp !== undefined) {
    known.xdp.show(xdp);
    return known.xdp.address;
  }
  if (skb === undefined || skb.context.address32 !== call.argU32(1)) return call.arg(1);
  known.skb.show(skb);
  return known.skb.address;
}
