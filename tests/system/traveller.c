// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a guest that travels between two hosts (tests/system/twohosts), and
 * the echo that answers it from one of them ("traveller echo PORT").
 *
 * All that a guest has is in use all the time and is known: what the pages hold, what the
 * registers of the floating-point units hold and compute, what the disk holds, when a timer
 * is due, what the network answers. A process of its own looks after each, those of CPUs on
 * each CPU; what is not as it must be is said once a report from then on, beginning with
 * WRONG. Reports come four times a second, so that who reads them knows that all go on.
 *
 * Times are the guest's. Two are kept for each CPU since the first report: the longest time
 * that a process saw nothing of on a CPU it never gives away (gap), and the longest that a
 * periodic timer was behind (late).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CPUS		2
#define WORDS		512ul
#define MOVING		256ul	/* pages of each CPU that are written again and again */
#define STILL		256ul	/* ... and that are written once */
#define BLOCKS		256ul	/* of the disk, 4 KiB each */
#define MS		1000000l	/* ns */
#define PERIOD		(20 * MS)
#define PATIENCE	(5000 * MS)
#define ECHO		"10.9.0.1"
#define ECHO_PORT	7007

/* What the processes look after: a counter each, which has to move. */
enum { COMPUTE, TIMER = COMPUTE + CPUS, DISK = TIMER + CPUS, NETWORK, PROCESSES };
static const char * const names[] = {
	"compute 0", "compute 1", "timer 0", "timer 1", "disk", "network", "init"
};

static struct {
	long latest;			/* ns, the clock as somebody has read it */
	long gap[CPUS], late[CPUS], silence;	/* ns, the longest */
	unsigned long done[PROCESSES];
	unsigned long sent, answered;
	int begun;			/* the longest times count */
	int is_wrong;
	char wrong[200];
} *all;

static int me = PROCESSES;	/* of enum, the process */

static void wrong(const char *format, ...)
{
	char text[160];
	va_list args;

	if (__atomic_exchange_n(&all->is_wrong, 1, __ATOMIC_ACQ_REL))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(all->wrong, sizeof(all->wrong), "%s: %s", names[me], text);
}

/* The clock, which no CPU may see behind what another has read before. */
static long now(void)
{
	long before = __atomic_load_n(&all->latest, __ATOMIC_ACQUIRE), t;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	t = ts.tv_sec * 1000 * MS + ts.tv_nsec;
	if (t < before)
		wrong("the clock went back from %ld to %ld ns", before, t);
	while (before < t && !__atomic_compare_exchange_n(&all->latest, &before, t, 0,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	return t;
}

static void longest(long *kept, long seen)
{
	if (__atomic_load_n(&all->begun, __ATOMIC_RELAXED) && seen > *kept)
		*kept = seen;
}

static void done(void)
{
	__atomic_fetch_add(&all->done[me], 1, __ATOMIC_RELAXED);
}

static void rest(long ns)
{
	struct timespec ts = { .tv_nsec = ns };
	long start = now();

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	if (now() < start + ns)
		wrong("a sleep of %ld ns took less", ns);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		wrong("not on CPU %d: %d", cpu, errno);
}

/* ---- memory ---- */

static unsigned long word(unsigned long page, unsigned long round, unsigned long i)
{
	return (round << 32 | page << 12 | i) * 0x9e3779b97f4a7c15ul;
}

static void fill(unsigned long *p, unsigned long page, unsigned long round)
{
	unsigned long i;

	for (i = 0; i < WORDS; i++)
		__atomic_store_n(&p[i], word(page, round, i), __ATOMIC_RELAXED);
}

static void check(const char *what, const unsigned long *p, unsigned long page,
		  unsigned long round)
{
	unsigned long i, seen;

	for (i = 0; i < WORDS; i++) {
		seen = __atomic_load_n(&p[i], __ATOMIC_RELAXED);
		if (seen != word(page, round, i)) {
			wrong("%s %lu, word %lu after round %lu: %016lx, not %016lx", what, page, i,
			      round, seen, word(page, round, i));
			return;
		}
	}
}

/* ---- registers ---- */

/*
 * All vector registers that the CPU has, the x87 stack and both control words are loaded,
 * and held while x87 computes x = x * x - 1.9: no bit that is lost there comes back.
 */
struct registers {
	unsigned char vector[32][64];
	unsigned long mask[8];
	unsigned int mxcsr;
	unsigned short control;

	/* x87: -1.9, x, and what is only held */
	long double constant, start, held[3];
};

#define TO_7	"0,1,2,3,4,5,6,7"
#define TO_15	TO_7 ",8,9,10,11,12,13,14,15"
#define TO_31	TO_15 ",16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
#define IN(what...)	IN_OF(what)
#define OUT(what...)	OUT_OF(what)
#define IN_OF(instruction, register, numbers, at)					\
	".irp n," numbers "\n\t" instruction " " at "(%[in]), %%" register "\\n\n\t.endr\n\t"
#define OUT_OF(instruction, register, numbers, at)					\
	".irp n," numbers "\n\t" instruction " %%" register "\\n, " at "(%[out])\n\t.endr\n\t"
#define VECTOR	"64*\\n"
#define MASK	"2048+8*\\n"

#define HOLD(name, load, store)								\
static void name(const struct registers *in, struct registers *out, unsigned long turns)	\
{											\
	unsigned short control;								\
	unsigned int mxcsr;									\
											\
	asm volatile("fnstcw %[control]\n\t"						\
		     "stmxcsr %[mxcsr]\n\t"						\
		     "fninit\n\t"							\
		     "fldcw %c[cw](%[in])\n\t"						\
		     "ldmxcsr %c[csr](%[in])\n\t"					\
		     "fldt %c[held]+32(%[in])\n\t"					\
		     "fldt %c[held]+16(%[in])\n\t"					\
		     "fldt %c[held](%[in])\n\t"						\
		     "fldt %c[constant](%[in])\n\t"					\
		     "fldt %c[start](%[in])\n\t"					\
		     load								\
		     "1: fmul %%st(0), %%st\n\t"					\
		     "fadd %%st(1), %%st\n\t"						\
		     "dec %[turns]\n\t"							\
		     "jnz 1b\n\t"							\
		     store								\
		     "fstpt %c[start](%[out])\n\t"					\
		     "fstpt %c[constant](%[out])\n\t"					\
		     "fstpt %c[held](%[out])\n\t"					\
		     "fstpt %c[held]+16(%[out])\n\t"					\
		     "fstpt %c[held]+32(%[out])\n\t"					\
		     "fnstcw %c[cw](%[out])\n\t"					\
		     "stmxcsr %c[csr](%[out])\n\t"					\
		     "fninit\n\t"							\
		     "fldcw %[control]\n\t"						\
		     "ldmxcsr %[mxcsr]\n\t"						\
		     : [turns] "+r" (turns), [control] "=m" (control), [mxcsr] "=m" (mxcsr)	\
		     : [in] "r" (in), [out] "r" (out),					\
		       [cw] "i" (offsetof(struct registers, control)),			\
		       [csr] "i" (offsetof(struct registers, mxcsr)),			\
		       [held] "i" (offsetof(struct registers, held)),			\
		       [constant] "i" (offsetof(struct registers, constant)),		\
		       [start] "i" (offsetof(struct registers, start))			\
		     : "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",	\
		       "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",	\
		       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",	\
		       "xmm14", "xmm15");						\
}

#define SSE	"movdqu", "xmm", TO_15, VECTOR
#define AVX	"vmovdqu", "ymm", TO_15, VECTOR
#define AVX512	"vmovdqu64", "zmm", TO_31, VECTOR
#define MASKS	"kmovw", "k", TO_7, MASK
HOLD(hold_sse, IN(SSE), OUT(SSE))
HOLD(hold_avx, IN(AVX), OUT(AVX) "vzeroupper\n\t")
HOLD(hold_avx512, IN(AVX512) IN(MASKS), OUT(AVX512) OUT(MASKS) "vzeroupper\n\t")

static void (*hold)(const struct registers *in, struct registers *out, unsigned long turns);
static const char *hold_name;
static unsigned int vectors, vector_size;

/* The widest registers that the CPU has and the kernel lets be used. */
static void choose_registers(void)
{
	unsigned int a, b, c, d, low = 0, high;

	hold = hold_sse;
	hold_name = "x87, SSE";
	vectors = 16;
	vector_size = 16;
	__cpuid(1, a, b, c, d);
	if (c & bit_OSXSAVE)
		asm volatile("xgetbv" : "=a" (low), "=d" (high) : "c" (0));
	if (!(c & bit_AVX) || (low & 6) != 6)
		return;
	hold = hold_avx;
	hold_name = "x87, AVX";
	vector_size = 32;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX512F) || (low & 0xe6) != 0xe6)
		return;
	hold = hold_avx512;
	hold_name = "x87, AVX-512";
	vectors = 32;
	vector_size = 64;
}

static void fill_registers(struct registers *r, int cpu, unsigned long round)
{
	unsigned int i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < 32 * 8; i++)
		((unsigned long *)r->vector)[i] = word(cpu + 1, round, i);
	for (i = 0; i < 8; i++)
		r->mask[i] = word(cpu + 1, round, i + 300) & 0xffff;
	r->constant = -1.9L;
	r->start = 0.25L + cpu / 8.0L;
	for (i = 0; i < 3; i++)
		r->held[i] = (long double)(round % 1000 + 1) / (3 + i + cpu);
	/* all exceptions masked; rounding up on one CPU, down on the other */
	r->mxcsr = 0x1f80 | (cpu ? 0x2000 : 0x4000);
	r->control = 0x37f | (cpu ? 0x400 : 0x800);
}

static void compare_registers(const struct registers *in, const struct registers *out,
			      const long double *result)
{
	unsigned int i;

	for (i = 0; i < vectors; i++)
		if (memcmp(in->vector[i], out->vector[i], vector_size))
			wrong("vector register %u is not what it was", i);
	if (vector_size == 64 && memcmp(in->mask, out->mask, sizeof(in->mask)))
		wrong("a mask register is not what it was");
	for (i = 0; i < 3; i++)
		if (memcmp(&in->held[i], &out->held[i], 10))
			wrong("x87 register %u is not what it was", i + 2);
	if (memcmp(&in->constant, &out->constant, 10))
		wrong("x87 register 1 is not what it was");
	if (memcmp(result, &out->start, 10))
		wrong("x87 computed %.18Lf, not %.18Lf", out->start, *result);
	if ((in->mxcsr & 0xffc0) != (out->mxcsr & 0xffc0) || in->control != out->control)
		wrong("control words %x, %x, not %x, %x", out->mxcsr, out->control, in->mxcsr,
		      in->control);
}

/* The same by the compiler: scalar SSE. */
static double computed(unsigned long turns, double x)
{
	while (turns--) {
		x = x * x - 1.9;
		/* each time anew */
		asm volatile("" : "+x" (x));
	}
	return x;
}

/* ---- what the processes do ---- */

static void compute(int cpu)
{
	unsigned long *moving = mmap(NULL, (MOVING + STILL) * WORDS * 8, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static unsigned long rounds[MOVING];
	unsigned long *still = moving + MOVING * WORDS, turns = 64, n, i, tsc, last_tsc = 0;
	static struct registers in, out;
	long t, last;
	double scalar;

	/* what x87 comes to */
	long double result;

	if (moving == MAP_FAILED) {
		wrong("no memory");
		return;
	}
	for (i = 0; i < MOVING; i++)
		fill(moving + i * WORDS, i, 0);
	for (i = 0; i < STILL; i++)
		fill(still + i * WORDS, MOVING + i, cpu);
	pin(cpu);

	/* as many turns as take about a quarter of a millisecond, and what they come to */
	fill_registers(&in, cpu, 0);
	do {
		turns *= 2;
		t = now();
		hold(&in, &out, turns);
	} while (now() - t < MS / 8);
	result = out.start;
	scalar = computed(turns, 0.25);

	for (n = 0, last = now(); ; n++) {
		fill_registers(&in, cpu, n);
		memset(&out, 0, sizeof(out));
		hold(&in, &out, turns);
		t = now();
		longest(&all->gap[cpu], t - last);
		last = t;
		compare_registers(&in, &out, &result);
		tsc = __builtin_ia32_rdtsc();
		if (tsc <= last_tsc)
			wrong("the TSC went back from %lu to %lu", last_tsc, tsc);
		last_tsc = tsc;
		done();
		/* the host's one CPU has more to do than these two */
		rest(3 * MS);
		if (n % 8)
			continue;
		if (computed(turns, 0.25) != scalar)
			wrong("SSE computed something else");
		i = n / 8 * 37 % MOVING;
		check("page", moving + i * WORDS, i, rounds[i]);
		fill(moving + i * WORDS, i, ++rounds[i]);
		i = n / 8 % STILL;
		check("unwritten page", still + i * WORDS, MOVING + i, cpu);
	}
}

/* A periodic timer is never early, and no period of it is lost. */
static void use_timer(int cpu)
{
	struct itimerspec its = { .it_interval.tv_nsec = PERIOD };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	unsigned long expired, total = 0;
	long start, t;

	pin(cpu);
	start = now() + PERIOD;
	its.it_value.tv_sec = start / (1000 * MS);
	its.it_value.tv_nsec = start % (1000 * MS);
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL)) {
		wrong("no timer: %d", errno);
		return;
	}
	for (;;) {
		if (read(fd, &expired, sizeof(expired)) != sizeof(expired)) {
			wrong("no number of periods: %d", errno);
			return;
		}
		total += expired;
		t = now() - (start + (long)(total - 1) * PERIOD);
		if (t < 0)
			wrong("period %lu ended %ld ns early", total, -t);
		longest(&all->late[cpu], t);
		done();
		if (total % 64 == 0)
			rest(5 * MS);
	}
}

static void use_disk(void)
{
	static unsigned long rounds[BLOCKS];
	unsigned long *block = aligned_alloc(4096, 4096), n, i;
	int fd = open("/dev/vda", O_RDWR | O_DIRECT);

	if (fd < 0 || !block) {
		wrong("no disk: %d", errno);
		return;
	}
	for (n = 0; ; n++) {
		i = n * 37 % BLOCKS;
		if (pread(fd, block, 4096, i * 4096) != 4096)
			wrong("block %lu cannot be read: %d", i, errno);
		check("block", block, i, rounds[i]);
		if (n % 2 == 0) {
			fill(block, i, ++rounds[i]);
			if (pwrite(fd, block, 4096, i * 4096) != 4096)
				wrong("block %lu cannot be written: %d", i, errno);
		}
		if (n % 16 == 0 && fdatasync(fd))
			wrong("the disk cannot be synchronized: %d", errno);
		done();
		rest(20 * MS);
	}
}

static int address_and_route(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };

	address.sin_addr.s_addr = inet_addr("10.0.2.15");
	memcpy(&ifr.ifr_addr, &address, sizeof(address));
	if (ioctl(fd, SIOCSIFADDR, &ifr))
		return -1;
	address.sin_addr.s_addr = inet_addr("255.255.255.0");
	memcpy(&ifr.ifr_addr, &address, sizeof(address));
	if (ioctl(fd, SIOCSIFNETMASK, &ifr) || ioctl(fd, SIOCGIFFLAGS, &ifr))
		return -1;
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		return -1;
	address.sin_addr.s_addr = inet_addr("10.0.2.2");
	memcpy(&route.rt_gateway, &address, sizeof(address));
	address.sin_addr.s_addr = 0;
	memcpy(&route.rt_dst, &address, sizeof(address));
	memcpy(&route.rt_genmask, &address, sizeof(address));
	if (ioctl(fd, SIOCADDRT, &route))
		return -1;
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	address.sin_addr.s_addr = inet_addr(ECHO);
	address.sin_port = htons(ECHO_PORT);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
}

/* Packets are known by their first word. One may be lost on the way, as in any network. */
static void use_network(void)
{
	int fd = address_and_route(), i;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned long packet[64];
	long last, next, t;
	ssize_t size;

	if (fd < 0) {
		wrong("no network: %d", errno);
		return;
	}
	for (last = now(), next = last; ; ) {
		t = now();
		if (t >= next) {
			packet[0] = __atomic_add_fetch(&all->sent, 1, __ATOMIC_RELAXED);
			for (i = 1; i < 64; i++)
				packet[i] = word(packet[0], 7, i);
			send(fd, packet, sizeof(packet), 0);
			next = t + 20 * MS;
			done();
		}
		poll(&p, 1, 10);
		while ((size = recv(fd, packet, sizeof(packet), 0)) >= 0) {
			for (i = 1; size == sizeof(packet) && i < 64; i++)
				if (packet[i] != word(packet[0], 7, i))
					break;
			if (i < 64)
				wrong("packet %lu (%zd bytes) is not as sent", packet[0], size);
			__atomic_add_fetch(&all->answered, 1, __ATOMIC_RELAXED);
			t = now();
			longest(&all->silence, t - last);
			last = t;
		}
		if (now() - last > PATIENCE)
			wrong("no answer for %ld ms", (now() - last) / MS);
	}
}

static void start(int process)
{
	if (fork())
		return;
	me = process;
	if (process < TIMER)
		compute(process - COMPUTE);
	else if (process < DISK)
		use_timer(process - TIMER);
	else if (process == DISK)
		use_disk();
	else
		use_network();
	for (;;)
		pause();
}

static int guest(void)
{
	unsigned long seen[PROCESSES] = { 0 }, n;
	long moved[PROCESSES], t;
	int i;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return 1;
	choose_registers();
	for (i = 0; i < PROCESSES; i++) {
		start(i);
		moved[i] = now();
	}
	for (n = 0; ; n++) {
		rest(250 * MS);
		for (i = 0, t = now(); i < PROCESSES; i++) {
			if (all->done[i] != seen[i])
				moved[i] = t;
			else if (t - moved[i] > PATIENCE)
				wrong("%s stands still after %lu turns", names[i], seen[i]);
			seen[i] = all->done[i];
		}
		for (i = 0; i < PROCESSES && seen[i]; i++)
			;
		if (i < PROCESSES && !all->is_wrong)
			continue;
		if (all->is_wrong)
			printf("WRONG: %s\n", all->wrong);
		printf("report %lu: %s; gap %ld %ld, late %ld %ld, silence %ld us; ", n, hold_name,
		       all->gap[0] / 1000, all->gap[1] / 1000, all->late[0] / 1000,
		       all->late[1] / 1000, all->silence / 1000);
		printf("blocks %lu, sent %lu, answered %lu\n", seen[DISK], all->sent,
		       all->answered);
		fflush(stdout);
		all->begun = 1;
	}
}

/* Answers each packet; says each time that none came for longer than before. */
static int echo(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t length = sizeof(address);
	long last = 0, most = 0, t;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct timespec ts;
	char packet[2048];
	ssize_t size;

	if (bind(fd, (struct sockaddr *)&address, length)) {
		perror("echo");
		return 1;
	}
	for (;;) {
		length = sizeof(address);
		size = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&address,
				&length);
		if (size < 0)
			continue;
		sendto(fd, packet, size, 0, (struct sockaddr *)&address, length);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		t = ts.tv_sec * 1000 * MS + ts.tv_nsec;
		if (last && t - last > most) {
			most = t - last;
			printf("silence %ld us\n", most / 1000l);
			fflush(stdout);
		}
		last = t;
	}
}

int main(int argc, char **argv)
{
	return argc == 3 && !strcmp(argv[1], "echo") ? echo(atoi(argv[2])) : guest();
}
