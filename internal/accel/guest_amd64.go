package accel

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// ioctl numbers of x86 in include/uapi/linux/kvm.h.
const (
	kvmGetSupportedCPUID = 0xc008ae05
	kvmSetTSSAddr        = 0xae47
	kvmSetRegs           = 0x4090ae82
	kvmGetSregs          = 0x8138ae83
	kvmSetSregs          = 0x4138ae84
	kvmSetCPUID2         = 0x4008ae90
)

// Guest memory: one page each.
const (
	pageMapLevel4    = 0x1000
	pageDirectoryPtr = 0x2000
	pageDirectory    = 0x3000
	codeStart        = 0x4000
	dataStart        = 0x5000
)

// Ports the program writes to, chosen to be without a device in KVM itself.
const (
	markInstructions mark = 0x10
	markEnd          mark = 0x11
)

// program is in long mode at ring 0, as a kernel is. First come instructions
// that emulators of ring 0 lack and no kernel does without, then a loop.
func program(popcnt, cmpxchg16b bool) []byte {
	var code []byte
	if popcnt {
		code = append(code, 0xf3, 0x0f, 0xb8, 0xc0) // popcnt eax, eax
	}
	code = append(code, 0xbf)                                // mov edi, dataStart
	code = binary.LittleEndian.AppendUint32(code, dataStart) //
	if cmpxchg16b {
		code = append(code, 0xf0, 0x48, 0x0f, 0xc7, 0x0f) // lock cmpxchg16b [rdi]
	}
	code = append(code, 0xe6, byte(markInstructions), 0xb9)   // out mark, al; mov ecx, loopRounds
	code = binary.LittleEndian.AppendUint32(code, loopRounds) //
	return append(code,
		0x01, 0xc8, // add eax, ecx
		0xff, 0xc9, // dec ecx
		0x75, 0xfa, // jnz back to the add
		0xe6, byte(markEnd), // out mark, al
		0xf4) // hlt
}

func (m *machine) load(kvm uintptr) error {
	copy(m.ram[codeStart:], program(cpu.X86.HasPOPCNT, cpu.X86.HasCX16))
	m.mapMemory()
	// Intel processors without unrestricted guests need a place for a task
	// state; this one, below the firmware's, is where QEMU has it.
	if _, err := ioctl(uintptr(m.vm), "KVM_SET_TSS_ADDR", kvmSetTSSAddr, 0xfffbd000); err != nil {
		return err
	}
	if err := m.copyCPUID(kvm); err != nil {
		return err
	}
	if err := m.enterLongMode(); err != nil {
		return err
	}
	const alwaysOne = 1 << 1 // RFLAGS bit 1
	return ioctlWith(m.vcpu, "KVM_SET_REGS", kvmSetRegs, &regs{rip: codeStart, rflags: alwaysOne})
}

// mapMemory writes page tables that map the first 2 MiB onto themselves.
func (m *machine) mapMemory() {
	const present, writable, large = 1 << 0, 1 << 1, 1 << 7
	entry := func(table int, value uint64) { binary.LittleEndian.PutUint64(m.ram[table:], value) }
	entry(pageMapLevel4, pageDirectoryPtr|present|writable)
	entry(pageDirectoryPtr, pageDirectory|present|writable)
	entry(pageDirectory, present|writable|large)
}

// cpuid is struct kvm_cpuid2; no processor has needed 256 entries.
type cpuid struct {
	count, _ uint32
	entries  [256][40]byte
}

// copyCPUID gives the guest the host's features: an emulator may refuse an
// instruction only because its feature was not announced.
func (m *machine) copyCPUID(kvm uintptr) error {
	features := cpuid{count: 256}
	if err := ioctlWith(int(kvm), "KVM_GET_SUPPORTED_CPUID", kvmGetSupportedCPUID, &features); err != nil {
		return err
	}
	return ioctlWith(m.vcpu, "KVM_SET_CPUID2", kvmSetCPUID2, &features)
}

// regs is struct kvm_regs: sixteen general registers first.
type regs struct {
	general     [16]uint64
	rip, rflags uint64
}

// sregs is struct kvm_sregs.
type sregs struct {
	cs, ds, es, fs, gs, ss, tr, ldt segment
	gdt, idt                        [2]uint64
	cr0, cr2, cr3, cr4, cr8         uint64
	efer, apicBase                  uint64
	interrupts                      [4]uint64
}

// segment is struct kvm_segment.
type segment struct {
	base                                              uint64
	limit                                             uint32
	selector                                          uint16
	kind, present, dpl, db, s, l, g, avl, unusable, _ uint8
}

func (m *machine) enterLongMode() error {
	var s sregs
	if err := ioctlWith(m.vcpu, "KVM_GET_SREGS", kvmGetSregs, &s); err != nil {
		return err
	}
	s.cs = segment{limit: 0xffffffff, selector: 1 << 3, kind: 11, present: 1, s: 1, l: 1, g: 1}
	data := segment{limit: 0xffffffff, selector: 2 << 3, kind: 3, present: 1, s: 1, db: 1, g: 1}
	s.ds, s.es, s.fs, s.gs, s.ss = data, data, data, data, data
	s.cr3 = pageMapLevel4
	s.cr4 = 1 << 5        // PAE
	s.cr0 = 0x80010033    // PG, WP, NE, ET, MP, PE
	s.efer = 1<<8 | 1<<10 // LME, LMA
	return ioctlWith(m.vcpu, "KVM_SET_SREGS", kvmSetSregs, &s)
}
