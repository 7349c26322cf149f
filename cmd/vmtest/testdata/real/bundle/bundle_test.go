package bundle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"
)

// TestVerifierLog loads a program that the verifier refuses after a long way:
// of each of its instructions the log says what it has done.
func TestVerifierLog(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	way := asm.Instructions{asm.LoadImm(asm.R3, 0x7eef_dead_beef_cafe, asm.DWord)}
	for range 100_000 {
		way = append(way, asm.Mov.Reg(asm.R4, asm.R3), asm.Mov.Reg(asm.R5, asm.R4))
	}
	way = append(way, asm.Mov.Reg(asm.R0, asm.R9), asm.Return()) // nobody has written to R9
	spec := &ebpf.ProgramSpec{Name: "long_way", Type: ebpf.SocketFilter, License: "GPL", Instructions: way}
	_, err := ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction, LogSizeStart: 1 << 26})
	var refused *ebpf.VerifierError
	if !errors.As(err, &refused) {
		t.Fatalf("it was loaded, or worse: %v", err)
	}
	log := fmt.Sprintf("%+v\n", refused)
	own := filepath.Join(os.Getenv("VMTEST_ARTIFACTS"), t.Name())
	err = errors.Join(
		os.Mkdir(own, 0o755),
		os.WriteFile(filepath.Join(own, "verifier.log"), []byte(log), 0o644),
		os.WriteFile(filepath.Join(t.ArtifactDir(), "verifier.log"), []byte(log), 0o644),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("log: %d bytes, %d lines, sha256 %x", len(log), strings.Count(log, "\n"), sha256.Sum256([]byte(log)))
	fmt.Print(log)
	t.Fatalf("load: %v", refused)
}
