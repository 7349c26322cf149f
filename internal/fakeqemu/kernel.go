package fakeqemu

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

// A Kernel is what a fake kernel image says.
type Kernel struct {
	Arch     string // GOARCH, amd64 or arm64; empty for this machine's
	Release  string // such as 6.12.1
	Behavior Behavior
}

// A Behavior is how a machine with this kernel goes wrong. The zero value does
// not.
type Behavior string

// The behaviors, by the word that scripts use.
const (
	Good       Behavior = ""
	Panics     Behavior = "panics"       // before init, with its reason on the console
	Vanishes   Behavior = "vanishes"     // before init, without a word
	Refuses    Behavior = "refuses"      // QEMU itself ends with an error
	Hangs      Behavior = "hangs"        // never says hello
	Foreign    Behavior = "foreign-init" // says hello with another protocol version
	Garbage    Behavior = "garbage"      // writes bytes that are no frame
	Without9P  Behavior = "without-9p"   // cannot mount the shares
	WarnsEarly Behavior = "warns-early"  // reports a fault while it boots
	WarnsLate  Behavior = "warns-late"   // reports a fault at shutdown
	NeverDone  Behavior = "never-done"   // goes down at the end without saying Done
	GarbageRun Behavior = "garbage-run"  // writes bytes that are no frame once a command runs
	Stays      Behavior = "stays"        // is still there after it has said Done
	Silent     Behavior = "silent"       // gives no sign of life while it runs commands

	Unsaveable   Behavior = "unsaveable"   // QEMU cannot save the machine
	Unrestorable Behavior = "unrestorable" // or not restore it

	OtherConfig Behavior = "other-config" // shows another configuration than it came with
	NoPrompt    Behavior = "no-prompt"    // does not get to a shell in a plain machine
	NoPowerOff  Behavior = "no-power-off" // hangs when it is told to power off
	Halts       Behavior = "halts"        // says that it cannot power off
	Restarts    Behavior = "restarts"     // boots again instead
)

// Behaviors are all of them.
var Behaviors = []Behavior{
	Good, Panics, Vanishes, Refuses, Hangs, Foreign, Garbage, Without9P, WarnsEarly, WarnsLate, NeverDone, GarbageRun,
	Stays, Silent, Unsaveable, Unrestorable, OtherConfig, NoPrompt, NoPowerOff, Halts, Restarts,
}

// Offsets in a bzImage, see Documentation/arch/x86/boot.rst, and in an arm64
// Image, see Documentation/arch/arm64/booting.rst. The behavior lies where a
// kernel has code.
const (
	imageMagic    = 0x38 // arm64's
	setupMagic    = 0x202
	setupVersion  = 0x206
	versionOffset = 0x20e // of the release, less 0x200
	loadFlags     = 0x236
	releaseAt     = 0x400
	behaviorAt    = 0x500
	imageSize     = 0x600
)

// WriteFile writes the kernel as a file that reads like a bzImage for amd64, or
// an Image for arm64.
func (k Kernel) WriteFile(path string) error {
	if !slices.Contains(Behaviors, k.Behavior) {
		return fmt.Errorf("make kernel %s: unknown behavior %q", path, k.Behavior)
	}
	b := make([]byte, imageSize)
	if cmp.Or(k.Arch, runtime.GOARCH) == "arm64" {
		copy(b[imageMagic:], "ARM\x64")
	} else {
		copy(b[setupMagic:], "HdrS")
		binary.LittleEndian.PutUint16(b[setupVersion:], 0x20f)
		binary.LittleEndian.PutUint16(b[versionOffset:], releaseAt-0x200)
		b[loadFlags] = 1 // has a 64-bit entry
	}
	copy(b[releaseAt:], k.Release+" (fake@vmtest) #1")
	copy(b[behaviorAt:], k.Behavior)
	return os.WriteFile(path, b, 0o644)
}

// ReadKernel reads a kernel that WriteFile wrote.
func ReadKernel(path string) (Kernel, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Kernel{}, err
	}
	k := Kernel{Arch: "arm64"}
	switch {
	case len(b) == imageSize && string(b[setupMagic:setupMagic+4]) == "HdrS":
		k.Arch = "amd64"
	case len(b) == imageSize && string(b[imageMagic:imageMagic+4]) == "ARM\x64":
	default:
		return Kernel{}, fmt.Errorf("could not load kernel '%s': not a fake one", path)
	}
	release, _, _ := strings.Cut(text(b[releaseAt:behaviorAt]), " ")
	k.Release, k.Behavior = release, Behavior(text(b[behaviorAt:]))
	return k, nil
}

func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
