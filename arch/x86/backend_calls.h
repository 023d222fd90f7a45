/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of struct kvm_backend_ops, all of which a backend must have. Who
 * includes this defines what KVM_BE_CALL() makes of each; it is undefined again
 * at the end, and there is no guard.
 */
KVM_BE_CALL(enable_cpu);
KVM_BE_CALL(disable_cpu);
KVM_BE_CALL(check_cpu);
KVM_BE_CALL(vcpu_create);
KVM_BE_CALL(vcpu_free);
KVM_BE_CALL(vcpu_reset);
KVM_BE_CALL(vcpu_load);
KVM_BE_CALL(vcpu_put);
KVM_BE_CALL(update_config);
KVM_BE_CALL(enter);
KVM_BE_CALL(cache_reg);
KVM_BE_CALL(get_segment);
KVM_BE_CALL(set_segment);
KVM_BE_CALL(get_cpl);
KVM_BE_CALL(is_64_bit_code);
KVM_BE_CALL(set_cr0);
KVM_BE_CALL(set_cr4);
KVM_BE_CALL(set_efer);
KVM_BE_CALL(load_root);
KVM_BE_CALL(sync_debugregs);
KVM_BE_CALL(update_intercepts);
KVM_BE_CALL(inject);
KVM_BE_CALL(cancel_injection);
KVM_BE_CALL(request_window);
KVM_BE_CALL(get_blocking);
KVM_BE_CALL(set_blocking);
KVM_BE_CALL(update_cr8_intercept);
KVM_BE_CALL(apic_changed);
KVM_BE_CALL(post_intr);
KVM_BE_CALL(sync_irr);
KVM_BE_CALL(device_posts);
KVM_BE_CALL(flush_tlb);
KVM_BE_CALL(get_msr);
KVM_BE_CALL(set_msr);
KVM_BE_CALL(get_feature_msr);
KVM_BE_CALL(write_tsc);
KVM_BE_CALL(virt_insn);
KVM_BE_CALL(nested_exit);
KVM_BE_CALL(nested_event);
KVM_BE_CALL(nested_insn);
KVM_BE_CALL(nested_leave);
KVM_BE_CALL(nested_pages);
KVM_BE_CALL(nested_smi);
KVM_BE_CALL(nested_rsm);
KVM_BE_CALL(get_nested_state);
KVM_BE_CALL(set_nested_state);
#undef KVM_BE_CALL
