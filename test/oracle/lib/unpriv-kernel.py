#!/usr/bin/env python3
"""unpriv-kernel.py - load requests against the running kernel with fewer capabilities than root's

  unpriv-kernel.py TOOLS-DIR [--log N] < requests.jsonl > answers.jsonl

The requests and answers of the reference tool kraw.py in TOOLS-DIR, which does the work; a request's "caps" (names out of
bpf, perfmon, net_admin, sys_admin) are the only ones in force while its program is loaded. Maps and BTF are made with all of
them. Only the effective set of this process changes, and comes back after each load.
"""
import ctypes, json, struct, sys

sys.path.insert(0, sys.argv.pop(1))
import kraw

CAPS = {"net_admin": 12, "sys_admin": 21, "perfmon": 38, "bpf": 39}
VERSION_3 = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)
plain_bpf = kraw.bpf
wanted = None


def caps_get():
    head = ctypes.create_string_buffer(struct.pack("=Ii", VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(24)
    if libc.capget(head, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    return struct.unpack("=6I", data.raw)


def caps_set(words):
    head = ctypes.create_string_buffer(struct.pack("=Ii", VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(struct.pack("=6I", *words), 24)
    if libc.capset(head, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def bpf(cmd, attr):
    if cmd != kraw.PROG_LOAD or wanted is None:
        return plain_bpf(cmd, attr)
    all_caps = caps_get()
    mask = sum(1 << CAPS[name] for name in wanted)
    caps_set((mask & all_caps[1], all_caps[1], all_caps[2], (mask >> 32) & all_caps[4], all_caps[4], all_caps[5]))
    try:
        return plain_bpf(cmd, attr)
    finally:
        caps_set(all_caps)


kraw.bpf = bpf
handle = kraw.Session.handle


def with_caps(self, request):
    global wanted
    wanted = request.get("caps")
    try:
        return handle(self, request)
    finally:
        wanted = None


kraw.Session.handle = with_caps
kraw.main()
