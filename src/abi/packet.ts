/**
 * Numbers that say what a frame or packet is (include/uapi/linux/if_ether.h, if_packet.h) and what becomes of it
 * (`enum sk_action` of include/uapi/linux/bpf.h).
 */

/** Bytes of an Ethernet header. */
export const ETH_HLEN = 14;

export const ETH_P_802_3 = 0x0001;
export const ETH_P_802_2 = 0x0004;
export const ETH_P_IP = 0x0800;
export const ETH_P_IPV6 = 0x86dd;

/** `pkt_type`: for a group, for somebody else. */
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;

export const SK_DROP = 0;
export const SK_PASS = 1;
