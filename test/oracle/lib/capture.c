/*
 * What libbpf would hand to the kernel, without a kernel: the executable's own syscall() answers every
 * bpf(2) command itself, so that no privilege is needed, nothing is created and nothing can be attached.
 *
 *   capture FILE.o ...
 *
 * One JSON line an object ("maps") and one a program ("insns", "func_info", "line_info", ...). In LD_IMM64
 * with source 1 or 2 the immediate is an index into the object's list of maps. Each program is loaded alone
 * in a child process. CAPTURE_BTF names other types to relocate for (CO-RE) than the running kernel's.
 * Build: cc -O2 capture.c -lbpf -lelf -lz
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAP_CREATE = 0, MAP_UPDATE = 2, PROG_LOAD = 5, OBJ_GET_INFO = 15, BTF_LOAD = 18, MAP_FREEZE = 22,
       LINK_CREATE = 28, PROG_BIND_MAP = 35 };
enum kind { KIND_MAP, KIND_PROG, KIND_BTF };

/* One simulated kernel object. A memfd stands for it, because dup3() keeps the inode. */
struct thing {
	ino_t ino;
	enum kind kind;
	char name[17];
	uint32_t type, key_size, value_size, max_entries, flags, id, numa_node, btf_key, btf_value, kernel_value;
	uint64_t extra;
	int frozen, inner;
	uint8_t *blob;	/* BTF: contents; map: value of element 0 */
	uint32_t blob_size;
	struct { uint32_t key; int target; } *slots;
	unsigned slot_cnt;
};
static struct thing things[8192];
static unsigned thing_cnt;

struct request {
	char name[17];
	uint32_t type, attach_type, flags, kern_version, attach_btf_id, insn_cnt, btf;
	char license[64];
	struct { uint8_t code, regs; int16_t off; int32_t imm; } *insns;
	uint32_t func_cnt, func_rec, line_cnt, line_rec;
	uint8_t *func, *line;
};
/* By thing; of a program that has been loaded. */
static struct request *requests[8192];
static char messages[2048];

static uint32_t u32at(const void *p, unsigned off, unsigned size)
{
	uint32_t v = 0;
	if (off + 4 <= size)
		memcpy(&v, (const char *)p + off, 4);
	return v;
}

static uint64_t u64at(const void *p, unsigned off, unsigned size)
{
	uint64_t v = 0;
	if (off + 8 <= size)
		memcpy(&v, (const char *)p + off, 8);
	return v;
}

static const void *ptr_at(const void *p, unsigned off, unsigned size)
{
	return (const void *)(uintptr_t)u64at(p, off, size);
}

static void *copy(const void *p, size_t n)
{
	void *c = malloc(n + 1);
	if (n)
		memcpy(c, p, n);
	return c;
}

static int find(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return -1;
	for (unsigned i = thing_cnt; i-- > 0;)
		if (things[i].ino == st.st_ino)
			return (int)i;
	return -1;
}

static long refuse(int err)
{
	errno = err;
	return -1;
}

static struct thing *create(enum kind kind, int *fd, uint64_t size)
{
	struct stat st;
	if (thing_cnt == sizeof things / sizeof *things)
		abort();
	*fd = memfd_create("capture", MFD_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) || ftruncate(*fd, (off_t)size))
		abort();
	struct thing *t = &things[thing_cnt++];
	memset(t, 0, sizeof *t);
	t->ino = st.st_ino;
	t->kind = kind;
	t->id = thing_cnt;
	t->inner = -1;
	return t;
}

static long map_create(const void *a, unsigned n)
{
	int fd;
	uint32_t inner = u32at(a, 20, n);
	/* large enough for libbpf to map an arena or a page of global data */
	struct thing *t = create(KIND_MAP, &fd, 1ull << 33);
	t->type = u32at(a, 0, n);
	t->key_size = u32at(a, 4, n);
	t->value_size = u32at(a, 8, n);
	t->max_entries = u32at(a, 12, n);
	t->flags = u32at(a, 16, n);
	memcpy(t->name, (const char *)a + 28, 16);
	t->numa_node = u32at(a, 24, n);
	t->btf_key = u32at(a, 52, n);
	t->btf_value = u32at(a, 56, n);
	t->kernel_value = u32at(a, 60, n);
	t->extra = u64at(a, 64, n);
	if (t->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || t->type == BPF_MAP_TYPE_HASH_OF_MAPS)
		t->inner = find((int)inner);
	return fd;
}

static long map_update(const void *a, unsigned n)
{
	int m = find((int)u32at(a, 0, n));
	const void *key = ptr_at(a, 8, n), *value = ptr_at(a, 16, n);
	if (m < 0)
		return refuse(EBADF);
	struct thing *t = &things[m];
	uint32_t k;
	memcpy(&k, key, 4);
	if (t->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || t->type == BPF_MAP_TYPE_HASH_OF_MAPS || t->type == BPF_MAP_TYPE_PROG_ARRAY) {
		int fd;
		memcpy(&fd, value, 4);
		t->slots = realloc(t->slots, (t->slot_cnt + 1) * sizeof *t->slots);
		t->slots[t->slot_cnt].key = k;
		t->slots[t->slot_cnt++].target = find(fd);
	} else if (k == 0) {
		t->blob = copy(value, t->value_size);
		t->blob_size = t->value_size;
	}
	return 0;
}

static long obj_get_info(const void *a, unsigned n)
{
	int i = find((int)u32at(a, 0, n));
	uint32_t len = u32at(a, 4, n);
	uint32_t *info = (uint32_t *)ptr_at(a, 8, n);
	if (i < 0)
		return refuse(EBADF);
	struct thing *t = &things[i];
	if (t->kind == KIND_MAP && len >= 40) {
		uint32_t head[6] = { t->type, t->id, t->key_size, t->value_size, t->max_entries, t->flags };
		memset(info, 0, len);
		memcpy(info, head, sizeof head);
		memcpy(info + 6, t->name, 16);
	} else if (t->kind == KIND_PROG && len >= 8) {
		memset(info, 0, len);
		info[1] = t->id;
	} else if (len >= 16)
		info[3] = t->id;	/* bpf_btf_info.id; name pointer and sizes are the caller's */
	return 0;
}

static long btf_load(const void *a, unsigned n)
{
	int fd;
	uint32_t size = u32at(a, 16, n);
	const void *data = ptr_at(a, 0, n);
	/* Linux 6.18 knows a header of 24 bytes; what follows in a longer one must be zero */
	for (uint32_t i = 24; size >= 24 && i < u32at(data, 4, size); i++)
		if (((const char *)data)[i])
			return refuse(EINVAL);
	struct thing *t = create(KIND_BTF, &fd, 0);
	t->blob = copy(data, size);
	t->blob_size = size;
	return fd;
}

static long prog_load(const void *a, unsigned n)
{
	const char *name = (const char *)a + 48;
	/* libbpf's probe for offsets past 2^29 into arenas, which Linux 6.18 answers like this */
	if (!strcmp(name, "global_reloc")) {
		char *log = (char *)ptr_at(a, 32, n);
		if (log)
			snprintf(log, u32at(a, 28, n), "direct value offset of 1073741824 is not allowed\n");
		return refuse(EINVAL);
	}
	int fd;
	create(KIND_PROG, &fd, 0);
	memcpy(things[thing_cnt - 1].name, name, 16);
	const char *license = ptr_at(a, 16, n);
	struct request *r = calloc(1, sizeof *r);
	requests[thing_cnt - 1] = r;
	memcpy(r->name, name, 16);
	r->type = u32at(a, 0, n);
	r->attach_type = u32at(a, 68, n);
	r->flags = u32at(a, 44, n);
	r->kern_version = u32at(a, 40, n);
	r->attach_btf_id = u32at(a, 108, n);
	snprintf(r->license, sizeof r->license, "%s", license ? license : "");
	r->insn_cnt = u32at(a, 4, n);
	r->insns = copy(ptr_at(a, 8, n), r->insn_cnt * 8ull);
	r->btf = u32at(a, 72, n) ? (uint32_t)find((int)u32at(a, 72, n)) + 1 : 0;
	r->func_rec = u32at(a, 76, n);
	r->func_cnt = u32at(a, 88, n);
	r->func = copy(ptr_at(a, 80, n), (size_t)r->func_rec * r->func_cnt);
	r->line_rec = u32at(a, 92, n);
	r->line_cnt = u32at(a, 104, n);
	r->line = copy(ptr_at(a, 96, n), (size_t)r->line_rec * r->line_cnt);
	return fd;
}

/* libbpf's probes for what Linux 6.18 has: links to perf events, uprobes by the dozen with process filters. */
static long link_create(const void *a, unsigned n)
{
	return refuse(u32at(a, 8, n) == 48 && u32at(a, 56, n) == UINT32_MAX ? EINVAL : EBADF);
}

static long answer(int cmd, const void *a, unsigned n)
{
	int m;
	switch (cmd) {
	case MAP_CREATE:
		return map_create(a, n);
	case MAP_UPDATE:
		return map_update(a, n);
	case PROG_LOAD:
		return prog_load(a, n);
	case OBJ_GET_INFO:
		return obj_get_info(a, n);
	case BTF_LOAD:
		return btf_load(a, n);
	case MAP_FREEZE:
		m = find((int)u32at(a, 0, n));
		if (m >= 0)
			things[m].frozen = 1;
		return 0;
	case LINK_CREATE:
		return link_create(a, n);
	case PROG_BIND_MAP:
		return 0;
	case 1: case 3: case 4: case 12: case 14: case 19: case 23: /* look-ups and ids: there is nothing */
		return refuse(ENOENT);
	default:
		return refuse(EINVAL);
	}
}

long syscall(long number, ...)
{
	va_list ap;
	long a[6];
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	switch (number) {
	case SYS_bpf:
		return answer((int)a[0], (const void *)a[1], (unsigned)a[2]);
	case SYS_perf_event_open: /* libbpf's probe for system call wrappers, which x86-64 and arm64 have */
		return memfd_create("capture", MFD_CLOEXEC);
	case SYS_memfd_create:
		return memfd_create((const char *)a[0], (unsigned)a[1]);
	case SYS_dup3:
		return dup3((int)a[0], (int)a[1], (int)a[2]);
	default:
		return refuse(ENOSYS);
	}
}

static int on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	size_t at = strlen(messages);
	if (level != LIBBPF_DEBUG && at < sizeof messages - 1)
		vsnprintf(messages + at, sizeof messages - at, fmt, ap);
	return 0;
}

static void put_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 32 || c > 126)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_field(const char *key, const char *value)
{
	printf(",\"%s\":", key);
	put_string(value ? value : "");
}

static void put_hex(const void *p, size_t n)
{
	const uint8_t *b = p;
	putchar('"');
	for (size_t i = 0; i < n; i++)
		printf("%02x", b[i]);
	putchar('"');
}

/* Position in the object's list of maps of the map behind a file descriptor. */
static int map_position(struct bpf_object *obj, int thing)
{
	struct bpf_map *m;
	int i = 0;
	bpf_object__for_each_map(m, obj) {
		if (bpf_map__fd(m) >= 0 && find(bpf_map__fd(m)) == thing)
			return i;
		i++;
	}
	return -1;
}

static void put_insns(struct bpf_object *obj, struct request *r)
{
	for (uint32_t i = 0; i < r->insn_cnt; i++) {
		if (r->insns[i].code != 0x18)
			continue;
		unsigned src = r->insns[i].regs >> 4;
		int position = src == 1 || src == 2 ? map_position(obj, find(r->insns[i].imm)) : -1;
		/* a number that is none of the object's maps stays as it is */
		if (position >= 0)
			r->insns[i].imm = position;
		i++;
	}
	printf(",\"insns\":");
	put_hex(r->insns, r->insn_cnt * 8ull);
}

static const char *btf_text(const struct request *r, uint32_t off)
{
	const struct thing *t = &things[r->btf - 1];
	uint32_t at = u32at(t->blob, 4, t->blob_size) + u32at(t->blob, 16, t->blob_size) + off;
	return at < t->blob_size ? (const char *)t->blob + at : "";
}

static void put_infos(const struct request *r)
{
	if (!r->btf)
		return;
	printf(",\"func_info\":[");
	for (uint32_t i = 0; i < r->func_cnt; i++) {
		const uint8_t *f = r->func + (size_t)i * r->func_rec;
		printf("%s[%u,%u]", i ? "," : "", u32at(f, 0, 8), u32at(f, 4, 8));
	}
	printf("],\"line_info\":[");
	for (uint32_t i = 0; i < r->line_cnt; i++) {
		const uint8_t *l = r->line + (size_t)i * r->line_rec;
		uint32_t pos = u32at(l, 12, 16);
		printf("%s[%u,%u,%u,", i ? "," : "", u32at(l, 0, 16), pos >> 10, pos & 1023);
		put_string(btf_text(r, u32at(l, 4, 16)));
		putchar(',');
		put_string(btf_text(r, u32at(l, 8, 16)));
		putchar(']');
	}
	putchar(']');
}

static struct bpf_object *open_object(const char *path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .relaxed_maps = true, .btf_custom_path = getenv("CAPTURE_BTF"));
	struct bpf_object *obj = bpf_object__open_file(path, &opts);
	struct bpf_map *m;
	if (!obj || libbpf_get_error(obj))
		return NULL;
	bpf_object__for_each_map(m, obj)
		bpf_map__set_pin_path(m, NULL);
	return obj;
}

/* A target of the program's kind that every kernel has, where its own is missing here. */
static void other_target(struct bpf_program *p)
{
	const char *target = "bpf_fentry_test1";
	switch (bpf_program__type(p)) {
	case BPF_PROG_TYPE_LSM:
		target = "file_open";
		break;
	case BPF_PROG_TYPE_TRACING:
		if (bpf_program__expected_attach_type(p) == BPF_TRACE_RAW_TP)
			target = "sched_switch";
		else if (bpf_program__expected_attach_type(p) == BPF_TRACE_ITER)
			target = "task";
		break;
	case BPF_PROG_TYPE_EXT:
		break;
	default:
		return;
	}
	bpf_program__set_attach_target(p, 0, target);
}

enum mode { AS_IS, OTHER_TARGET, OTHER_TYPE, NO_MODE };

/* The request for a program: by its descriptor, or where libbpf has closed that again, the last of its name and size. */
static struct request *request_of(struct bpf_program *p)
{
	int t = bpf_program__fd(p) >= 0 ? find(bpf_program__fd(p)) : -1;
	if (t >= 0)
		return requests[t];
	for (unsigned i = thing_cnt; i-- > 0;)
		if (requests[i] && !strncmp(requests[i]->name, bpf_program__name(p), 15) &&
		    requests[i]->insn_cnt == bpf_program__insn_cnt(p))
			return requests[i];
	return NULL;
}

/* Loads the one program: as it is, with another target, or as a socket filter where nothing else does. */
static struct request *load_one(const char *path, unsigned index, enum mode mode, struct bpf_object **loaded)
{
	struct bpf_program *p, *mine = NULL;
	unsigned i = 0;
	struct bpf_object *obj = open_object(path);
	*loaded = obj;
	if (!obj)
		return NULL;
	bpf_object__for_each_program(p, obj) {
		if (i == index)
			mine = p;
		bpf_program__set_autoload(p, i++ == index);
	}
	if (mode == OTHER_TARGET)
		other_target(mine);
	if (mode == OTHER_TYPE || bpf_program__type(mine) == BPF_PROG_TYPE_UNSPEC) {
		bpf_program__set_type(mine, BPF_PROG_TYPE_SOCKET_FILTER);
		bpf_program__set_expected_attach_type(mine, 0);
	}
	bpf_object__load(obj);
	return request_of(mine);
}

static void one_program(const char *path, unsigned index)
{
	struct bpf_object *obj = open_object(path), *loaded;
	struct bpf_program *p, *mine = NULL;
	struct request *r;
	unsigned i = 0;
	enum mode mode = AS_IS;
	if (!obj)
		return;
	bpf_object__for_each_program(p, obj)
		if (i++ == index)
			mine = p;
	messages[0] = 0;
	while (!(r = load_one(path, index, mode, &loaded)) && mode + 1 < NO_MODE)
		mode++;
	printf("{\"obj\":");
	put_string(path);
	put_field("program", bpf_program__name(mine));
	put_field("section", bpf_program__section_name(mine));
	printf(",\"type\":%d,\"attach_type\":%d,\"autoload\":%s", bpf_program__type(mine),
	       bpf_program__expected_attach_type(mine), bpf_program__autoload(mine) ? "true" : "false");
	printf(",\"mode\":%d", r ? (int)mode : -1);
	if (mode != AS_IS)
		put_field("messages", messages);
	if (r) {
		printf(",\"load_type\":%u,\"load_attach_type\":%u,\"flags\":%u,\"kern_version\":%u,\"attach_btf_id\":%u",
		       r->type, r->attach_type, r->flags, r->kern_version, r->attach_btf_id);
		put_field("license", r->license);
		put_insns(loaded, r);
		put_infos(r);
	}
	printf("}\n");
}

/* A definition as it is before libbpf fits it to this machine. */
static void put_definition(struct bpf_map *m)
{
	struct bpf_map *inner = bpf_map__inner_map(m);
	printf("{\"name\":");
	put_string(bpf_map__name(m));
	printf(",\"type\":%u,\"key_size\":%u,\"value_size\":%u,\"max_entries\":%u,\"map_flags\":%u,\"map_extra\":%llu,"
	       "\"numa_node\":%u,\"btf_key\":%u,\"btf_value\":%u,\"internal\":%s",
	       bpf_map__type(m), bpf_map__key_size(m), bpf_map__value_size(m), bpf_map__max_entries(m),
	       bpf_map__map_flags(m), (unsigned long long)bpf_map__map_extra(m), bpf_map__numa_node(m),
	       bpf_map__btf_key_type_id(m), bpf_map__btf_value_type_id(m), bpf_map__is_internal(m) ? "true" : "false");
	if (inner) {
		printf(",\"inner\":");
		put_definition(inner);
		putchar('}');
	}
}

static void put_created(const char *key, const struct thing *t)
{
	printf(",\"%s\":{\"key_size\":%u,\"value_size\":%u,\"max_entries\":%u,\"map_flags\":%u,\"map_extra\":%llu,"
	       "\"numa_node\":%u,\"btf_key\":%u,\"btf_value\":%u,\"kernel_value\":%u}",
	       key, t->key_size, t->value_size, t->max_entries, t->flags, (unsigned long long)t->extra, t->numa_node,
	       t->btf_key, t->btf_value, t->kernel_value);
}

/* What the kernel was asked for and what the map then holds; nothing where libbpf came to that only in part. */
static void put_contents(struct bpf_map *m)
{
	int at = bpf_map__fd(m) >= 0 ? find(bpf_map__fd(m)) : -1;
	if (at < 0)
		return;
	const struct thing *t = &things[at];
	put_created("created", t);
	if (t->inner >= 0)
		put_created("created_inner", &things[t->inner]);
	printf(",\"frozen\":%s", t->frozen ? "true" : "false");
	if (t->blob) {
		printf(",\"data\":");
		put_hex(t->blob, t->blob_size);
	}
	printf(",\"slots\":[");
	for (unsigned i = 0; i < t->slot_cnt; i++) {
		int to = t->slots[i].target;
		printf("%s[%u,", i ? "," : "", t->slots[i].key);
		put_string(to >= 0 ? things[to].name : "");
		putchar(']');
	}
	putchar(']');
}

static void all_maps(const char *path, unsigned unused)
{
	struct bpf_object *obj = open_object(path), *loaded = open_object(path);
	struct bpf_program *p;
	struct bpf_map *m, *l = NULL;
	unsigned i = 0, programs = 0;
	(void)unused;
	printf("{\"obj\":");
	put_string(path);
	if (!obj || !loaded) {
		put_field("open_error", messages[0] ? messages : strerror(errno));
		printf("}\n");
		return;
	}
	bpf_object__for_each_program(p, loaded) {
		programs++;
		/* a prog array's initial slots need their programs */
		if (bpf_program__type(p) == BPF_PROG_TYPE_UNSPEC)
			bpf_program__set_type(p, BPF_PROG_TYPE_SOCKET_FILTER);
		other_target(p);
	}
	int err = bpf_object__load(loaded);
	printf(",\"programs\":%u,\"load_error\":%d", programs, -err);
	if (err)
		put_field("messages", messages);
	printf(",\"maps\":[");
	bpf_object__for_each_map(m, obj) {
		if (i++)
			putchar(',');
		l = bpf_object__next_map(loaded, l);
		put_definition(m);
		if (l && !err)
			put_contents(l);
		putchar('}');
	}
	printf("]}\n");
}

static void child(void (*work)(const char *, unsigned), const char *path, unsigned index)
{
	int status = 0;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		work(path, index);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		printf("\n{\"obj\":");
		put_string(path);
		printf(",\"crash\":%d}\n", WTERMSIG(status));
	}
}

int main(int argc, char **argv)
{
	libbpf_set_print(on_print);
	for (int a = 1; a < argc; a++) {
		struct bpf_program *p;
		unsigned n = 0;
		struct bpf_object *obj = open_object(argv[a]);
		if (obj) {
			bpf_object__for_each_program(p, obj)
				n++;
			bpf_object__close(obj);
		}
		messages[0] = 0;
		child(all_maps, argv[a], 0);
		for (unsigned i = 0; i < n; i++)
			child(one_program, argv[a], i);
	}
	return 0;
}
