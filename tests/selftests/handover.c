// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the scripts of tests/system, told by the environment what to do:
 *
 * DO=create	make a VM; "# create: ERRNO" says what came of it
 * DO=guest	run a guest of two vCPUs that checks its memory, until the file
 *		UNTIL is there; the file ROUNDS holds how many rounds it has done
 * DO=kexec	go on with the kernel KERNEL, its INITRD and its CMDLINE
 */
#include <pthread.h>
#include <sys/reboot.h>
#include <sys/syscall.h>

#include "hostmem.h"
#include "st.h"

#define TESTED_GPA	0x40000000ul
#define TESTED_SIZE	(2ul << 20)

static struct report last[2];

static void create(void)
{
	int dev = open("/dev/kvm", O_RDWR);
	int fd = dev < 0 ? -1 : ioctl(dev, KVM_CREATE_VM, 0UL);

	st_note("create: %d", fd < 0 ? errno : 0);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;

	last[v->id] = vcpu_run_to_report(v);
	return NULL;
}

static void guest(void)
{
	const char *until = getenv("UNTIL"), *rounds = getenv("ROUNDS");
	struct vm *vm = vm_new(2 << 20, 0);
	struct hm_shared *sh = vm_ptr(vm, GUEST_SHARED);
	pthread_t thread[2];
	uint64_t *mem, j;
	unsigned long page;
	int i;

	CHECK(until && rounds);
	mem = mmap(NULL, TESTED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(mem != MAP_FAILED);
	vm_set_slot(vm, 1, TESTED_GPA, TESTED_SIZE, mem, 0);
	PAYLOAD(vm, hostmem);
	*sh = (struct hm_shared){
		.start = TESTED_GPA, .pages = TESTED_SIZE / 4096, .vcpus = 2,
	};
	for (i = 0; i < 2; i++)
		vm_add_vcpu(vm, i);
	for (i = 0; i < 2; i++) {
		vcpu_start(&vm->vcpus[i], HM_PATTERN, i, 0);
		CHECK(!pthread_create(&thread[i], NULL, vcpu_thread, &vm->vcpus[i]));
	}
	while (access(until, F_OK)) {
		FILE *f = fopen(rounds, "w");

		CHECK(f);
		fprintf(f, "%lu %lu\n", READ_ONCE(sh->rounds[0]), READ_ONCE(sh->rounds[1]));
		fclose(f);
		usleep(50000);
	}
	WRITE_ONCE(sh->stop, 1);
	for (i = 0; i < 2; i++) {
		CHECK(!pthread_join(thread[i], NULL));
		CHECK_EQ(last[i].kind, REPORT_DONE);
	}
	for (page = 0; page < TESTED_SIZE / 4096; page++)
		for (j = 0; j < 512; j++)
			CHECK_EQ(mem[page * 512 + j],
				 hm_word(page, HM_ROUND(mem[page * 512]), j));
	st_note("rounds: %lu and %lu", sh->rounds[0], sh->rounds[1]);
}

static void kexec(void)
{
	const char *line = getenv("CMDLINE");
	int kernel = OK(open(getenv("KERNEL"), O_RDONLY));
	int initrd = OK(open(getenv("INITRD"), O_RDONLY));

	CHECK(line);
	OK(syscall(SYS_kexec_file_load, kernel, initrd, strlen(line) + 1, line, 0UL));
	OK(reboot(RB_KEXEC));
}

int main(void)
{
	const char *what = getenv("DO") ?: "";
	struct st_test tests[] = { { what, NULL, 1200 }, {} };

	if (!strcmp(what, "create"))
		tests[0].fn = create;
	else if (!strcmp(what, "guest"))
		tests[0].fn = guest;
	else if (!strcmp(what, "kexec"))
		tests[0].fn = kexec;
	else
		return 2;
	return st_main("handover", tests);
}
