package accel

import "encoding/binary"

// ioctl numbers of arm64 in include/uapi/linux/kvm.h.
const (
	kvmSetOneReg          = 0x4010aeac
	kvmARMVCPUInit        = 0x4020aeae
	kvmARMPreferredTarget = 0x8020aeaf
)

// registerPC is KVM's name of the program counter: KVM_REG_ARM64,
// KVM_REG_SIZE_U64, KVM_REG_ARM_CORE and its place in struct kvm_regs in words.
const registerPC = 0x6030_0000_0010_0000 | 256/4

// Addresses beyond the guest's memory that the program writes to.
const (
	markInstructions mark = 0x10000
	markEnd          mark = 0x10008
)

// program runs at EL1 with the MMU off. There is no list of instructions that
// emulators lack here, so its first part only shows that the guest runs. It has
// been run under QEMU's translator with virtualization=on, not on hardware.
var program = []uint32{
	0xd2a00020, // mov  x0, #0x10000
	0xb9000000, // str  w0, [x0]          markInstructions
	0xd290d401, // mov  x1, #0x86a0
	0xf2a00021, // movk x1, #1, lsl #16   loopRounds
	0x8b010042, // add  x2, x2, x1
	0xf1000421, // subs x1, x1, #1
	0x54ffffc1, // b.ne back to the add
	0xb9000800, // str  w0, [x0, #8]      markEnd
	0x14000000, // b    here
}

// vcpuInit is struct kvm_vcpu_init.
type vcpuInit struct {
	target   uint32
	features [7]uint32
}

// oneReg is struct kvm_one_reg.
type oneReg struct {
	id      uint64
	address *uint64
}

func (m *machine) load(uintptr) error {
	for i, word := range program {
		binary.LittleEndian.PutUint32(m.ram[4*i:], word)
	}
	var init vcpuInit
	if err := ioctlWith(m.vm, "KVM_ARM_PREFERRED_TARGET", kvmARMPreferredTarget, &init); err != nil {
		return err
	}
	if err := ioctlWith(m.vcpu, "KVM_ARM_VCPU_INIT", kvmARMVCPUInit, &init); err != nil {
		return err
	}
	return ioctlWith(m.vcpu, "KVM_SET_ONE_REG", kvmSetOneReg, &oneReg{id: registerPC, address: new(uint64)})
}
