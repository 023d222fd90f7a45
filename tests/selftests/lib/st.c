// SPDX-License-Identifier: GPL-2.0-only
/* Subtests in child processes, KTAP, and the list of known failures. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/utsname.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "st.h"

#define EXIT_FAIL	1
#define EXIT_SKIP	4

static const char *prog;
static int say_fd = 1;
static char why[400];
static int why_fd = -1;

static void tell(const char *text)
{
	if (write(why_fd, text, strlen(text)) < 0)
		_exit(EXIT_FAIL);
}

void st_fail(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char msg[400];
	va_list ap;
	int n;

	n = snprintf(msg, sizeof(msg), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	vsnprintf(msg + n, sizeof(msg) - n, fmt, ap);
	va_end(ap);
	tell(msg);
	_exit(EXIT_FAIL);
}

void st_skip(const char *fmt, ...)
{
	char msg[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	tell(msg);
	_exit(EXIT_SKIP);
}

void st_note(const char *fmt, ...)
{
	char msg[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	dprintf(say_fd, "# %s\n", msg);
}

bool st_on_tcg(void)
{
	static int found = -1;
	char line[256];
	FILE *f;

	if (found >= 0)
		return found;
	found = 0;
	f = fopen("/proc/cpuinfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "model name", 10) && strstr(line, "QEMU"))
			found = 1;
	if (f)
		fclose(f);
	return found;
}

/* The reason for which the subtest may fail here, or NULL. */
static const char *known(const char *name)
{
	static char reason[300];
	char want[200], scope[40], key[200];
	const char *p = known_list;

	snprintf(want, sizeof(want), "%s:%s", prog, name);
	while (*p) {
		const char *end = strchr(p, '\n');
		size_t len = end ? (size_t)(end - p) : strlen(p);
		char line[600], *plus;
		int at = 0;

		snprintf(line, sizeof(line), "%.*s", (int)len, p);
		p += end ? len + 1 : len;
		if (line[0] == '#' || sscanf(line, "%39s %199s %n", scope, key, &at) < 2)
			continue;
		if (strcmp(key, want))
			continue;
		plus = strstr(scope, "+tcg");
		if (plus) {
			if (!st_on_tcg())
				continue;
			*plus = 0;
		}
		if (strcmp(scope, "any") && strcmp(scope, kvm_is_oot() ? "oot" : "in-tree"))
			continue;
		snprintf(reason, sizeof(reason), "%s", line + at);
		return reason;
	}
	return NULL;
}

static int run_one(const struct st_test *t)
{
	int pipefd[2], status;
	ssize_t n;
	pid_t pid;

	why[0] = 0;
	if (pipe(pipefd))
		return EXIT_FAIL;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(pipefd[0]);
		why_fd = pipefd[1];
		alarm(t->timeout ? t->timeout : 60);
		t->fn();
		_exit(0);
	}
	close(pipefd[1]);
	n = 0;
	for (;;) {
		ssize_t got = read(pipefd[0], why + n, sizeof(why) - 1 - n);

		if (got <= 0)
			break;
		n += got;
	}
	why[n] = 0;
	close(pipefd[0]);
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		snprintf(why, sizeof(why), WTERMSIG(status) == SIGALRM ?
			 "time-out" : "killed by signal %d", WTERMSIG(status));
		return EXIT_FAIL;
	}
	return WEXITSTATUS(status);
}

long st_named(const char *path, const char *name)
{
	size_t len = strlen(name);
	long value = -1;
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && (line[len] == ' ' || line[len] == ':'))
			value = atol(line + len + 1);
	if (f)
		fclose(f);
	return value;
}

static sigjmp_buf bus_jump;

static void on_bus(int sig)
{
	siglongjmp(bus_jump, sig);
}

bool st_bus_error(uint8_t *p)
{
	struct sigaction sa = { .sa_handler = on_bus, .sa_flags = SA_NODEFER }, before;
	int sig;

	CHECK(!sigaction(SIGBUS, &sa, &before));
	sig = sigsetjmp(bus_jump, 1);
	if (!sig)
		WRITE_ONCE(*p, 1);
	CHECK(!sigaction(SIGBUS, &before, NULL));
	return sig == SIGBUS;
}

bool st_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

int st_host_device(const char *module, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char ko[64];

	if (fd >= 0)
		return fd;
	snprintf(ko, sizeof(ko), "/host/%s.ko", module);
	fd = OK(open(ko, O_RDONLY | O_CLOEXEC));
	if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
		st_skip("%s: %s", ko, strerror(errno));
	close(fd);
	return OK(open(path, O_RDWR | O_CLOEXEC));
}

uint64_t st_counter(const char *path)
{
	unsigned long long n;
	FILE *f = fopen(path, "r");

	if (!f)
		st_skip("%s: this module does not count", path);
	CHECK_EQ(fscanf(f, "%llu", &n), 1);
	fclose(f);
	return n;
}

long st_table_memory(void)
{
	FILE *f = fopen("/proc/sys/vm/stat_refresh", "w");
	long kb;

	/* what each CPU has counted by itself is added up */
	CHECK(f);
	fputs("1", f);
	CHECK(!fclose(f));
	kb = st_named("/proc/meminfo", "SecPageTables");
	CHECK(kb >= 0);
	return kb;
}

double st_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

uint8_t *st_aligned_memory(size_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	return (uint8_t *)(((uintptr_t)p + HUGE_PAGE - 1) & -HUGE_PAGE);
}

/* ST_ONLY=NAME[,NAME...] runs these subtests. */
static bool chosen(const struct st_test *t, const char *only)
{
	size_t len = strlen(t->name);
	const char *at;

	if (!only)
		return true;
	for (at = only; (at = strstr(at, t->name)); at += len)
		if ((at == only || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

int st_main(const char *program, const struct st_test *tests)
{
	const char *only = getenv("ST_ONLY"), *reason;
	int n = 0, failed = 0, ran = 0;
	const struct st_test *t;

	prog = program;
	for (t = tests; t->name; t++)
		n += chosen(t, only);
	printf("TAP version 13\n1..%d\n", n);
	n = 0;
	for (t = tests; t->name; t++) {
		if (!chosen(t, only))
			continue;
		n++;
		switch (run_one(t)) {
		case 0:
			printf("ok %d %s:%s\n", n, prog, t->name);
			ran++;
			break;
		case EXIT_SKIP:
			printf("ok %d %s:%s # SKIP %s\n", n, prog, t->name, why);
			break;
		default:
			reason = known(t->name);
			if (reason) {
				printf("ok %d %s:%s # XFAIL %s (%s)\n", n, prog, t->name,
				       reason, why);
				ran++;
				break;
			}
			printf("not ok %d %s:%s # %s\n", n, prog, t->name, why);
			failed++;
		}
		fflush(stdout);
	}
	return failed ? EXIT_FAIL : ran ? 0 : EXIT_SKIP;
}
