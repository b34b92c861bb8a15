#!/usr/bin/env python3
"""map-kernel.py - sequences of map operations against the running kernel.

One JSON object a line in, one out: maps, programs and objects are made, operations done one by one, everything let go.
Needs root and python3 only. It creates maps, sockets, a private mount of cgroup2 and perf events, and test-runs programs;
nothing is attached.
"""
import ctypes, json, mmap, os, platform, socket, struct, sys, tempfile, time

libc = ctypes.CDLL(None, use_errno=True)
NR_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
(CREATE, LOOKUP, UPDATE, DELETE, NEXT, PROG_LOAD, TEST_RUN, INFO, BTF_LOAD, POP, FREEZE, LOOKUP_BATCH, POP_BATCH, UPDATE_BATCH,
 DELETE_BATCH) = 0, 1, 2, 3, 4, 5, 10, 15, 18, 21, 22, 24, 25, 26, 27
PERCPU = {5, 6, 10, 21}
PROG_IDS, MAP_IDS, COOKIES = {3}, {12, 13}, {15, 18, 20}
ANY_FD = {8, 4}
DEVICES = {14, 16, 25}
STORAGES = {24, 28, 29, 32}
CPUS = os.sysconf("SC_NPROCESSORS_CONF")
CLOSED_FD = 9999


def bpf(cmd, attr):
    buf = ctypes.create_string_buffer(bytes(attr).ljust(160, b"\0"), 160)
    ctypes.set_errno(0)
    r = libc.syscall(NR_BPF, cmd, buf, 160)
    return (r if r >= 0 else -ctypes.get_errno()), buf.raw


def mem(data, size=None):
    return ctypes.create_string_buffer(bytes(data), max(size if size is not None else len(data), 1))


def addr(buf):
    return 0 if buf is None else ctypes.addressof(buf)


def perf_event(cpu):
    attr = struct.pack("=IIQQQQIIQ", 1, 112, 10, 0, 1 << 10, 0, 0, 0, 0).ljust(112, b"\0")
    nr = {"x86_64": 298, "aarch64": 241}[platform.machine()]
    buf = mem(attr)
    return libc.syscall(nr, buf, -1, cpu, -1, 8)


class Cgroups:
    """cgroup2, mounted where only this process sees it; existing groups only."""
    root = None

    @classmethod
    def fd(cls, number):
        if cls.root is None:
            cls.root = tempfile.mkdtemp()
            if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None) \
                    or libc.mount(b"none", cls.root.encode(), b"cgroup2", 0, None):
                cls.root = ""
        if not cls.root:
            return -1
        dirs = [cls.root] + sorted(e.path for e in os.scandir(cls.root) if e.is_dir())
        return os.open(dirs[number], os.O_RDONLY) if number < len(dirs) else -1


class Env:
    def __init__(self, q):
        self.close, self.fds, self.sizes, self.types, self.names, self.socks, self.maps_mem = [], {"none": CLOSED_FD}, [], [], {}, {}, {}
        self.values, self.keys, self.progs, self.created, self.max = [], [], [], [], []
        self.results = {}
        self.buffers = []
        self.btf = {}
        self.io = None
        self.setup(q)

    def setup(self, q):
        for name, o in q.get("objects", {}).items():
            self.fds[name] = self.make_object(name, o)
        for i, m in enumerate(q["maps"]):
            self.make_map(i, m)
        for i, p in enumerate(q.get("progs", [])):
            self.make_prog(i, p)

    def keep(self, fd):
        if fd >= 0:
            self.close.append(fd)
        return fd

    def make_object(self, name, o):
        kind = o["kind"]
        if kind == "file":
            self.path = tempfile.mkstemp()
            os.unlink(self.path[1])
            return self.keep(self.path[0])
        if kind == "pid":
            return self.keep(os.pidfd_open(os.getpid()))
        if kind == "cgroup":
            return self.keep(Cgroups.fd(o["number"]))
        if kind == "event":
            fd = self.keep(perf_event(o["cpu"]))
            # Without a buffer the kernel has nowhere to put samples.
            self.buffers.append(mmap.mmap(fd, 129 * mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
            return fd
        if kind in ("xdp", "netlink"):
            s = socket.socket(44, socket.SOCK_RAW) if kind == "xdp" else socket.socket(16, socket.SOCK_RAW, 0)
            return self.sock(name, s)
        if kind == "unix":
            s = socket.socket(socket.AF_UNIX, getattr(socket, o["type"]))
            return self.sock(name, s)
        if kind == "unixpair":
            a, b = socket.socketpair(socket.AF_UNIX, getattr(socket, o["type"]))
            self.socks[name + "'"] = b
            return self.sock(name, a)
        s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        if o.get("reuse"):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if o.get("bound"):
            s.bind(("127.0.0.1", 0))
        if o.get("listen"):
            s.listen(1)
        if o.get("connected"):
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            s.connect(listener.getsockname())
            self.socks[name + "'"] = listener
        return self.sock(name, s)

    def sock(self, name, s):
        self.socks[name] = s
        cookie = struct.unpack("=Q", s.getsockopt(socket.SOL_SOCKET, 57, 8))[0]
        self.names[("c", cookie)] = name
        return s.fileno()

    def btf_fd(self, blob):
        if not blob:
            return 0
        if blob not in self.btf:
            b = mem(bytes.fromhex(blob))
            fd, _ = bpf(BTF_LOAD, struct.pack("=QQIIII", addr(b), 0, len(blob) // 2, 0, 0, 0))
            self.btf[blob] = self.keep(fd)
        return self.btf[blob]

    def make_map(self, i, m):
        g = lambda k: m.get(k, 0)
        inner = self.fds.get("map%d" % m["inner"], 0) if "inner" in m else 0
        attr = struct.pack("=IIIIIII16sIIIIIQ", m["type"], g("key"), g("value"), g("max"), g("flags"), inner, g("numa"),
                           b"m%d" % i, 0, self.btf_fd(m.get("btf")), g("btf_key"), g("btf_value"), 0, g("extra"))
        fd = self.keep(bpf(CREATE, attr)[0])
        self.created.append(min(fd, 0))
        self.fds["map%d" % i] = fd if fd >= 0 else CLOSED_FD
        self.types.append(m["type"])
        self.keys.append(g("key"))
        size = g("value")
        self.values.append(size)
        if m["type"] in PERCPU:
            size = (size + 7) // 8 * 8 * CPUS
        if m["type"] in PROG_IDS | MAP_IDS | ANY_FD:
            size = 4
        self.sizes.append(size)
        self.max.append(g("max"))
        if fd >= 0:
            self.names[("m", self.info(fd, 1))] = "map%d" % i
        if fd >= 0 and m.get("io"):
            self.io = mmap.mmap(fd, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        if fd >= 0 and m["type"] == 27 and m.get("mapped"):
            page = mmap.PAGESIZE
            self.consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            self.ring = mmap.mmap(fd, page + 2 * g("max"), mmap.MAP_SHARED, mmap.PROT_READ, offset=page)

    def info(self, fd, word):
        buf = mem(b"", 256)
        r, _ = bpf(INFO, struct.pack("=IIQ", fd, 88, addr(buf)))
        if r < 0:
            return r
        return struct.unpack_from("=I", buf.raw, 4 * word)[0]

    def make_prog(self, i, p):
        ins = bytearray.fromhex(p["insns"])
        at = 0
        while at + 8 <= len(ins):
            if ins[at] == 0x18:
                if ins[at + 1] >> 4 in (1, 2):
                    (k,) = struct.unpack_from("=i", ins, at + 4)
                    struct.pack_into("=i", ins, at + 4, self.fds["map%d" % k])
                at += 8
            at += 8
        code, lic, log = mem(ins), mem(b"GPL\0"), mem(b"", 65536)
        attr = struct.pack("=IIQQIIQII16sII", p["type"], len(ins) // 8, addr(code), addr(lic), 1, 65536, addr(log), 0, 0,
                           b"p%d" % i, 0, p.get("attach", 0))
        fd = self.keep(bpf(PROG_LOAD, attr)[0])
        self.progs.append(fd)
        self.fds["prog%d" % i] = fd if fd >= 0 else CLOSED_FD
        if fd >= 0:
            self.names[("p", self.info(fd, 1))] = "prog%d" % i
        else:
            self.created.append([fd, log.value.decode("latin-1")[-400:]])

    def parse(self, text):
        out = b""
        for part in text.split("+"):
            if part.startswith("fd:"):
                out += struct.pack("=i", self.fds[part[3:]])
            elif part.startswith("fd8:"):
                out += struct.pack("=q", self.fds[part[4:]])
            else:
                out += bytes.fromhex(part)
        return out

    def show(self, m, value):
        t = self.types[m]
        kind = "p" if t in PROG_IDS else "m" if t in MAP_IDS else "c" if t in COOKIES else None
        if kind:
            number = int.from_bytes(value[:8 if kind == "c" else 4], sys.byteorder)
            return "id:" + self.names.get((kind, number), "?%d" % number)
        if t in DEVICES and len(value) == 8:
            number = struct.unpack_from("=I", value, 4)[0]
            return value[:4].hex() + "+id:" + (self.names.get(("p", number), "?%d" % number) if number else "none")
        if t in PERCPU:
            # What rounds a value up to 8 bytes may be anything.
            size, step = self.values[m], (self.values[m] + 7) // 8 * 8
            return "".join(value[i:i + size].hex() for i in range(0, len(value), step))
        return value.hex()

    def op(self, op):
        what = op[0]
        if what == "c":
            os.sched_setaffinity(0, {op[1]})
            return 0
        if what in ("p", "pl"):
            return self.program(op)
        if what == "rc":
            return self.consume()
        m = op[1]
        fd, size, ksize = self.fds["map%d" % m], self.sizes[m], self.keys[m]
        if what == "f":
            return bpf(FREEZE, struct.pack("=I", fd))[0]
        if what == "i":
            return [self.info(fd, w) for w in (0, 2, 3, 4, 5)]
        if what in ("bl", "bx"):
            return self.read_batch(what, op, fd, size, ksize)
        if what in ("bu", "bd"):
            keys = mem(b"".join(self.parse(k) for k in op[2]))
            values = mem(b"".join(self.parse(v) for v in op[3])) if what == "bu" else None
            attr = struct.pack("=QQQQIIQQ", 0, 0, addr(keys), addr(values), len(op[2]), fd, op[4], 0)
            r, back = bpf(UPDATE_BATCH if what == "bu" else DELETE_BATCH, attr)
            return [r, struct.unpack_from("=I", back, 32)[0]]
        key = None if op[2] is None or ksize == 0 else mem(self.parse(op[2]))
        if what == "n":
            out = mem(b"", ksize + 8)
            r, _ = bpf(NEXT, struct.pack("=IIQQQ", fd, 0, addr(key), addr(out), 0))
            return r if r < 0 else self.show_key(out.raw[:ksize])
        if what == "d":
            return bpf(DELETE, struct.pack("=IIQQQ", fd, 0, addr(key), 0, 0))[0]
        if what == "u":
            value = mem(self.parse(op[3]))
            attr = struct.pack("=IIQQQ", fd, 0, addr(key), addr(value), op[4])
            r = bpf(UPDATE, attr)[0]
            for _ in range(200):
                # The storage of an owner that outlives a sequence may still be on its way out.
                if r != -11 or self.types[m] not in STORAGES:
                    break
                time.sleep(0.005)
                r = bpf(UPDATE, attr)[0]
            return r
        value = mem(self.parse(op[4]) if len(op) > 4 else b"", size + 64)
        r, _ = bpf(LOOKUP if what == "l" else POP, struct.pack("=IIQQQ", fd, 0, addr(key), addr(value), op[3]))
        if r < 0:
            return r
        return self.show(m, value.raw[:size])

    def show_key(self, key):
        return key.hex()

    def read_batch(self, what, op, fd, size, ksize):
        _, m, start, count, flags = op
        if start == "next":
            start = self.results.get(m)
        first = None if start is None else mem(bytes.fromhex(start))
        out, keys, values = mem(b"", max(ksize, 4) + 8), mem(b"", (count + 1) * max(ksize, 1)), mem(b"", (count + 1) * max(size, 1))
        attr = struct.pack("=QQQQIIQQ", addr(first), addr(out), addr(keys), addr(values), count, fd, flags, 0)
        r, back = bpf(LOOKUP_BATCH if what == "bl" else POP_BATCH, attr)
        got = struct.unpack_from("=I", back, 32)[0]
        if r < 0 and r != -2:
            return [r]
        token = out.raw[:4 if self.types[m] in (1, 5, 9, 10, 13) else ksize].hex()
        if count > 0 and (got > 0 or r == 0):
            self.results[m] = token
        return [r, got, [[keys.raw[i * ksize:(i + 1) * ksize].hex(), self.show(m, values.raw[i * size:(i + 1) * size])] for i in range(got)]]

    def program(self, op):
        """The io map's page is what a program reads and writes: arguments go there, the result comes from there."""
        _, prog, data, length = op[:4]
        data = self.parse(data)
        self.io[0:len(data)] = data
        packet = mem(bytes(64))
        attr = struct.pack("=IIIIQQIIIIQQ", self.progs[prog], 0, 64, 0, addr(packet), 0, 1, 0, 0, 0, 0, 0)
        r, back = bpf(TEST_RUN, attr)
        if r < 0:
            return [r]
        return [struct.unpack_from("=I", back, 4)[0], self.io[0:length].hex()]

    def consume(self):
        page = mmap.PAGESIZE
        cons, prod = struct.unpack_from("=Q", self.consumer, 0)[0], struct.unpack_from("=Q", self.ring, 0)[0]
        size, out = (len(self.ring) - page) // 2, []
        while cons < prod:
            at = page + (cons & (size - 1))
            word = struct.unpack_from("=I", self.ring, at)[0]
            if word & 0x80000000:
                break
            length = word & 0x3fffffff
            if not word & 0x40000000:
                out.append(self.ring[at + 8:at + 8 + length].hex())
            cons += (length + 8 + 7) // 8 * 8
        struct.pack_into("=Q", self.consumer, 0, cons)
        return out

    def end(self):
        for b in self.buffers:
            b.close()
        for s in self.socks.values():
            s.close()
        for fd in reversed(self.close):
            os.close(fd)


def main():
    for line in sys.stdin:
        q = json.loads(line)
        try:
            env = Env(q)
        except Exception as e:
            print(json.dumps({"error": repr(e)}), flush=True)
            continue
        try:
            out = {"created": env.created, "cpus": CPUS, "results": [env.op(op) for op in q["ops"]] if not any(env.created) else []}
        except Exception as e:
            import traceback
            out = {"error": traceback.format_exc()}
        finally:
            env.end()
        print(json.dumps(out), flush=True)


main()
