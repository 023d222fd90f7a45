// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O and MMIO: to a device in the kernel when one answers, else out to
 * user space and back.
 *
 * A write is posted: the instruction is finished, then user space is told. A
 * read that user space must answer stops the instruction. Port reads come back
 * through the vCPU's PIO page; memory reads are kept in arch.mmio_reads[], and
 * the instruction is carried out again from its start, taking from there what
 * it has read already (an instruction may read twice: CMPS).
 *
 * The kvm_run page is shared with user space: what is needed later is kept in
 * the vCPU, and only the data itself is read back from the page.
 */
#include "arch/x86/kvm_x86.h"
#include "arch/x86/run.h"
#include "arch/x86/emulate/emulate.h"

/* ---- port I/O ------------------------------------------------------------------ */

/* Offers each element to the kernel's devices; returns how many they took. */
static unsigned int kernel_pio(struct kvm_vcpu *vcpu, unsigned int size,
			       u16 port, void *data, unsigned int count, bool in)
{
	unsigned int i;

	for (i = 0; i < count; i++, data += size) {
		int r = in ? kvm_io_bus_read(vcpu, KVM_BUS_PIO, port, size, data)
			   : kvm_io_bus_write(vcpu, KVM_BUS_PIO, port, size, data);
		if (r)
			break;
	}
	return i;
}

static void exit_pio(struct kvm_vcpu *vcpu, unsigned int size, u16 port,
		     unsigned int count, bool in)
{
	struct kvm_run *run = vcpu->run;

	vcpu->arch.pio.port = port;
	vcpu->arch.pio.size = size;
	vcpu->arch.pio.count = count;
	vcpu->arch.pio.in = in;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	vcpu->stat.io_exits++;
}

/**
 * kvm_pio_in() - read from a port
 * @vcpu: the vCPU, loaded, SRCU held
 * @size: bytes of an element: 1, 2 or 4
 * @port: port number
 * @val: @count elements
 * @count: elements, together at most a page
 *
 * Called again when user space has answered, it finds the answer. Should user
 * space have changed the guest's count meanwhile, that is for fewer elements.
 * Return: how many elements were read into @val; 0 when user space must answer
 * first; -EINVAL when the answer is for another access.
 */
int kvm_pio_in(struct kvm_vcpu *vcpu, unsigned int size, u16 port, void *val,
	       unsigned int count)
{
	unsigned int done;

	count = min_t(unsigned int, count, PAGE_SIZE / size);

	if (vcpu->arch.pio.count) {
		if (!vcpu->arch.pio.in || vcpu->arch.pio.size != size ||
		    vcpu->arch.pio.port != port)
			return -EINVAL;
		count = min_t(unsigned int, count, vcpu->arch.pio.count);
		memcpy(val, vcpu->arch.pio.data, size * count);
		vcpu->arch.pio.count = 0;
		return count;
	}

	done = kernel_pio(vcpu, size, port, val, count, true);
	if (done == count)
		return count;
	if (done) {
		/* the device vanished meanwhile: floating bus for the rest */
		memset(val + done * size, 0xff, (count - done) * size);
		return count;
	}
	exit_pio(vcpu, size, port, count, true);
	return 0;
}

/**
 * kvm_pio_out() - write to a port
 * @vcpu: the vCPU, loaded, SRCU held
 * @size: bytes of an element: 1, 2 or 4
 * @port: port number
 * @val: @count elements
 * @count: elements, together at most a page
 *
 * Return: 1 when a kernel device took it, 0 when user space must be told.
 */
int kvm_pio_out(struct kvm_vcpu *vcpu, unsigned int size, u16 port,
		const void *val, unsigned int count)
{
	unsigned int done;

	count = min_t(unsigned int, count, PAGE_SIZE / size);
	done = kernel_pio(vcpu, size, port, (void *)val, count, false);
	if (done == count)
		return 1;
	val += done * size;
	count -= done;
	memcpy(vcpu->arch.pio.data, val, size * count);
	exit_pio(vcpu, size, port, count, false);
	vcpu->arch.pio.count = 0;	/* nothing to read back */
	return 0;
}

static int skip_pio_insn(struct kvm_vcpu *vcpu)
{
	struct kvm_exit exit = { .insn_len = vcpu->arch.pio.insn_len };

	/* user space has set another RIP: the instruction is not there any more */
	if (kvm_get_linear_rip(vcpu) != vcpu->arch.pio.linear_rip)
		return 1;
	return kvm_skip_insn(vcpu, &exit);
}

static int complete_fast_out(struct kvm_vcpu *vcpu)
{
	return skip_pio_insn(vcpu);
}

static void write_in_result(struct kvm_vcpu *vcpu, unsigned int size, u32 val)
{
	unsigned long rax = kvm_gpr_read(vcpu, VCPU_REG_RAX);

	switch (size) {
	case 1:
		rax = (rax & ~0xfful) | (u8)val;
		break;
	case 2:
		rax = (rax & ~0xfffful) | (u16)val;
		break;
	default:
		rax = val;	/* a 32-bit result clears the upper half */
		break;
	}
	kvm_gpr_write(vcpu, VCPU_REG_RAX, rax);
}

static int complete_fast_in(struct kvm_vcpu *vcpu)
{
	u32 val = 0;

	/* one element was asked for; the page is user space's until now */
	memcpy(&val, vcpu->arch.pio.data, vcpu->arch.pio.size);
	vcpu->arch.pio.count = 0;
	if (kvm_get_linear_rip(vcpu) != vcpu->arch.pio.linear_rip)
		return 1;
	write_in_result(vcpu, vcpu->arch.pio.size, val);
	return skip_pio_insn(vcpu);
}

/**
 * kvm_fast_pio() - IN or OUT of one element between a port and rAX
 * @vcpu: the vCPU, loaded, SRCU held
 * @port: port number
 * @size: bytes: 1, 2 or 4
 * @in: direction
 * @exit: for the length of the instruction
 *
 * Return: >0 to enter again, 0 to leave to user space.
 */
int kvm_fast_pio(struct kvm_vcpu *vcpu, u16 port, unsigned int size, bool in,
		 const struct kvm_exit *exit)
{
	u32 val;

	if (in) {
		val = 0;
		vcpu->arch.pio.count = 0;
		if (kvm_pio_in(vcpu, size, port, &val, 1) == 1) {
			write_in_result(vcpu, size, val);
			return kvm_skip_insn(vcpu, exit);
		}
		vcpu->arch.pio.insn_len = exit->insn_len;
		vcpu->arch.pio.linear_rip = kvm_get_linear_rip(vcpu);
		vcpu->arch.complete_userspace_io = complete_fast_in;
		return 0;
	}

	val = kvm_gpr_read(vcpu, VCPU_REG_RAX);
	if (kvm_pio_out(vcpu, size, port, &val, 1) == 1)
		return kvm_skip_insn(vcpu, exit);

	if (port == 0x7e && kvm_quirk(vcpu->kvm, KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
		/* firmware that expects to be past the OUT when user space looks */
		kvm_skip_insn(vcpu, exit);
		vcpu->run->exit_reason = KVM_EXIT_IO;
		return 0;
	}
	vcpu->arch.pio.insn_len = exit->insn_len;
	vcpu->arch.pio.linear_rip = kvm_get_linear_rip(vcpu);
	vcpu->arch.complete_userspace_io = complete_fast_out;
	return 0;
}

/* ---- MMIO -------------------------------------------------------------------------- */

static int kernel_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, int len, void *val)
{
	if (kvm_lapic_in_kernel(vcpu) &&
	    !kvm_lapic_mmio_read(vcpu, gpa, len, val))
		return 0;
	return kvm_io_bus_read(vcpu, KVM_BUS_MMIO, gpa, len, val);
}

static int kernel_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, int len,
			     const void *val)
{
	if (kvm_lapic_in_kernel(vcpu) &&
	    !kvm_lapic_mmio_write(vcpu, gpa, len, val))
		return 0;
	return kvm_io_bus_write(vcpu, KVM_BUS_MMIO, gpa, len, val);
}

/* Add what user space must handle, in pieces of at most 8 bytes. */
static int add_fragments(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len,
			 unsigned int offset)
{
	while (len) {
		unsigned int n = min(len, 8u);
		struct kvm_mmio_fragment *f;

		if (vcpu->mmio_nr_fragments == KVM_OOT_MMIO_FRAGMENTS ||
		    offset + n > sizeof(vcpu->mmio_data))
			return -ENOSPC;
		f = &vcpu->mmio_fragments[vcpu->mmio_nr_fragments++];
		f->gpa = gpa;
		f->len = n;
		f->offset = offset;
		gpa += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static unsigned int mmio_data_used(struct kvm_vcpu *vcpu)
{
	struct kvm_mmio_fragment *f;

	if (!vcpu->mmio_needed || !vcpu->mmio_nr_fragments)
		return 0;
	f = &vcpu->mmio_fragments[vcpu->mmio_nr_fragments - 1];
	return f->offset + f->len;
}

static int mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len,
		     void *val)
{
	unsigned int i = vcpu->arch.next_mmio_read;

	if (i < vcpu->arch.nr_mmio_reads) {
		if (vcpu->arch.mmio_reads[i].gpa != gpa ||
		    vcpu->arch.mmio_reads[i].len != len)
			return X86_EMUL_UNHANDLEABLE;
		memcpy(val, vcpu->arch.mmio_reads[i].data, len);
		vcpu->arch.next_mmio_read++;
		return X86_EMUL_CONTINUE;
	}

	if (i == ARRAY_SIZE(vcpu->arch.mmio_reads) ||
	    len > sizeof(vcpu->arch.mmio_reads[0].data))
		return X86_EMUL_UNHANDLEABLE;

	if (!kernel_mmio_read(vcpu, gpa, len, val)) {
		/* reading may have side effects: never read twice */
		vcpu->arch.mmio_reads[i].gpa = gpa;
		vcpu->arch.mmio_reads[i].len = len;
		memcpy(vcpu->arch.mmio_reads[i].data, val, len);
		vcpu->arch.nr_mmio_reads++;
		vcpu->arch.next_mmio_read++;
		return X86_EMUL_CONTINUE;
	}

	if (vcpu->mmio_needed)	/* a write of this instruction is on its way */
		return X86_EMUL_UNHANDLEABLE;

	vcpu->mmio_nr_fragments = 0;
	if (add_fragments(vcpu, gpa, len, 0))
		return X86_EMUL_UNHANDLEABLE;
	vcpu->mmio_needed = true;
	vcpu->mmio_is_write = false;
	vcpu->mmio_cur_fragment = 0;
	vcpu->arch.mmio_reads[i].gpa = gpa;
	vcpu->arch.mmio_reads[i].len = len;
	return X86_EMUL_IO_NEEDED;
}

static int mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len,
		      const void *val)
{
	unsigned int offset;

	if (!kernel_mmio_write(vcpu, gpa, len, val))
		return X86_EMUL_CONTINUE;

	if (!vcpu->mmio_needed) {
		vcpu->mmio_nr_fragments = 0;
		vcpu->mmio_cur_fragment = 0;
	}
	offset = mmio_data_used(vcpu);
	if (offset + len > sizeof(vcpu->mmio_data) ||
	    add_fragments(vcpu, gpa, len, offset))
		return X86_EMUL_UNHANDLEABLE;
	memcpy(vcpu->mmio_data + offset, val, len);
	vcpu->mmio_needed = true;
	vcpu->mmio_is_write = true;
	return X86_EMUL_CONTINUE;
}

/**
 * kvm_emul_mmio() - an emulated instruction touches an address without memory
 * @vcpu: the vCPU, loaded, SRCU held
 * @gpa: guest physical address; does not cross a page
 * @len: bytes
 * @val: to or from
 * @write: direction
 *
 * Return: X86_EMUL_CONTINUE, X86_EMUL_IO_NEEDED for a read that user space
 * must answer, X86_EMUL_UNHANDLEABLE for more accesses than can be kept.
 */
int kvm_emul_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *val,
		  bool write)
{
	return write ? mmio_write(vcpu, gpa, len, val)
		     : mmio_read(vcpu, gpa, len, val);
}

static int complete_mmio(struct kvm_vcpu *vcpu);

/**
 * kvm_mmio_exit() - tell user space about the current MMIO fragment
 * @vcpu: the vCPU with mmio_needed
 *
 * Return: 0, for leaving to user space.
 */
int kvm_mmio_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_mmio_fragment *f = &vcpu->mmio_fragments[vcpu->mmio_cur_fragment];
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = f->gpa;
	run->mmio.len = f->len;
	run->mmio.is_write = vcpu->mmio_is_write;
	if (vcpu->mmio_is_write)
		memcpy(run->mmio.data, vcpu->mmio_data + f->offset, f->len);
	vcpu->stat.mmio_exits++;
	vcpu->arch.complete_userspace_io = complete_mmio;
	return 0;
}

static int complete_mmio(struct kvm_vcpu *vcpu)
{
	struct kvm_mmio_fragment *f = &vcpu->mmio_fragments[vcpu->mmio_cur_fragment];

	if (!vcpu->mmio_is_write)
		memcpy(vcpu->arch.mmio_reads[vcpu->arch.nr_mmio_reads].data + f->offset,
		       vcpu->run->mmio.data, f->len);

	if (++vcpu->mmio_cur_fragment < vcpu->mmio_nr_fragments)
		return kvm_mmio_exit(vcpu);

	vcpu->mmio_needed = false;
	if (vcpu->mmio_is_write)
		return 1;	/* a string instruction that is not done faults again */

	vcpu->arch.nr_mmio_reads++;
	return kvm_emulate_insn(vcpu, 0, KVM_EMUL_NO_DECODE, NULL, 0);
}
