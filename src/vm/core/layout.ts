/**
 * Where things lie in the engine's memory. Imported by the core (AssemblyScript) and by its host
 * (TypeScript) alike, so it holds nothing but integer constants.
 *
 * From 0: page zero (never handed to programs; it holds the hot block), the code pool, the shadow, then
 * the window that programs see. Only the window's addresses are valid in a program.
 */

/** Kernel-like base of the window (x86-64's direct map): address = base + memory offset. High half. */
export const WINDOW_HIGH = 0xffff8880;

/** The hot block: state of the execution that owns the core. */
export const HOT = 1024;
/** r0–r10, 8 bytes each; a twelfth slot is scratch. */
export const HOT_REGS = HOT;
/** Address of the next cell (i32). */
export const HOT_PC = HOT + 96;
/** Fuel left, as `pc + 16 × instructions` (i32), so that straight-line code costs nothing. */
export const HOT_BUDGET = HOT + 100;
/** Local-call depth: index of the current frame. */
export const HOT_DEPTH = HOT + 104;
/** Tail calls made. */
export const HOT_TAIL_CALLS = HOT + 108;
/** Fault details: address, size in bytes, 1 when it was a store. */
export const HOT_FAULT_ADDRESS = HOT + 112;
export const HOT_FAULT_SIZE = HOT + 120;
export const HOT_FAULT_STORE = HOT + 124;
/** Packet for LD_ABS and LD_IND: memory offset, linear length, network header's offset in it. */
export const HOT_PACKET = HOT + 132;
export const HOT_PACKET_LEN = HOT + 136;
export const HOT_PACKET_NET = HOT + 140;
/** `may_goto` iterations left in the current frame. */
export const HOT_MAY_GOTO = HOT + 144;
/** Index of the helper that a flow stop names, or value that a bad call names. */
export const HOT_CALLEE = HOT + 148;
/** Caller's state of frame n + 1, `FRAME_SIZE` bytes each. */
export const HOT_FRAMES = HOT + 160;
/**
 * Saved r1–r10 (80 bytes; r1–r5 only for calls by helpers, whose arguments are still needed), return
 * cell (i32), may_goto budget (i32), kind (i32), iteration of a loop (i32).
 */
export const FRAME_SIZE = 96;
export const FRAME_RETURN = 80;
export const FRAME_MAY_GOTO = 84;
export const FRAME_KIND = 88;
/** `FRAME_KIND`: returning leaves the core. */
export const FRAME_FROM_HOST = 1;
/** `FRAME_KIND`: the frame is a callback of a loop that the core drives; saved r1–r3 are count, function, context. */
export const FRAME_LOOP = 2;
export const FRAME_INDEX = 92;
/** Low half of function addresses, less the function's cell; the high half is all ones. */
export const TEXT_LOW = 0xc0000000;
export const MAX_FRAMES = 8;
export const HOT_SIZE = 160 + 8 * 96;

/** Engine-wide words. Window's first offset and its length less `WINDOW_SLACK` (i64 each). */
export const WINDOW_START = HOT + 2048;
export const WINDOW_LENGTH = HOT + 2056;
/** Not 0: the host wants the core to return after the current plain helper (i32). */
export const HOT_STOP_ASKED = HOT + 2064;
/** Bytes at the end of memory that are never handed out, so that one comparison serves all access sizes. */
export const WINDOW_SLACK = 16;

/** Bytes of one pre-decoded instruction. */
export const CELL = 16;
export const CODE_START = 65536;

/** Shadow: a byte says how much of 8 bytes of memory may be used. */
export const SHADOW_NONE = 0;
/** Low 3 bits: how many bytes from the start (partial granules); flags: 0x10 readable, 0x20 writable. */
export const SHADOW_READ = 0x10;
export const SHADOW_WRITE = 0x20;
/**
 * Where a descriptor of indexed elements starts: no program may touch it, and none can make one. The
 * descriptor's words (u32): number of elements, their size, offset of the first, offset of a word that chooses
 * among copies of all elements, and the copies' size.
 */
export const SHADOW_DESCRIPTOR = 0x08;
export const DESCRIPTOR_SIZE = 20;
/**
 * The same of a hash table. Words: mask of the buckets, 32-bit words of a key, seed, offset of the buckets (an element's
 * number each, 0 for none), offset of the nodes by element number (next in the bucket, hash, offset of the key), bytes from
 * key to value, offset of two words (which copy of the value; whether the host wants to be asked), the copies' size.
 */
export const SHADOW_TABLE = 0x09;
export const TABLE_SIZE = 32;
export const TABLE_NODE = 12;
/** Whole granules, chosen so that one unsigned comparison decides. */
export const SHADOW_READ_ALL = 0xfe;
export const SHADOW_ALL = 0xff;

/** Stack bytes of a frame, and the gap that keeps frames apart. */
export const STACK_FRAME = 512;
export const STACK_GAP = 64;
export const STACK_SIZE = 8 * (512 + 64);

export const MAX_TAIL_CALLS = 33;
/** `may_goto` budget of a frame (Linux: BPF_MAX_LOOPS). */
export const MAY_GOTO_LOOPS = 8388608;

/** Why the core returned. */
export const STOP_EXIT = 0;
export const STOP_RETURN = 1;
export const STOP_FUEL = 2;
export const STOP_FLOW = 3;
export const STOP_ACCESS = 4;
export const STOP_DEPTH = 5;
export const STOP_CALL = 6;
export const STOP_HELPER = 7;
export const STOP_END = 8;
export const STOP_BAD_OP = 9;
