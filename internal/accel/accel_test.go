package accel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestParse(t *testing.T) {
	for _, a := range []Accel{Auto, KVM, TCG} {
		if got, err := Parse(a.String()); err != nil || got != a {
			t.Errorf("Parse(%q) = %v, %v", a, got, err)
		}
	}
	for _, s := range []string{"", "KVM", "hvf", "kvm "} {
		_, err := Parse(s)
		var usage interface{ ExitCode() int }
		if !errors.As(err, &usage) || usage.ExitCode() != 2 {
			t.Errorf("Parse(%q): %v, want a usage error", s, err)
		}
	}
}

func TestChoose(t *testing.T) {
	works := Result{Usable: true, Detail: "a guest ran"}
	lacks := Result{Reason: Missing, Detail: "/dev/kvm does not exist", Hint: "load kvm_intel"}
	for _, test := range []struct {
		name    string
		request Request
		result  Result
		want    Accel
		note    bool
		fails   bool
	}{
		{"auto works", Request{}, works, KVM, false, false},
		{"auto lacks", Request{}, lacks, TCG, true, false},
		{"auto required", Request{RequireKVM: true}, lacks, Auto, false, true},
		{"kvm works", Request{Want: KVM}, works, KVM, false, false},
		{"kvm lacks", Request{Want: KVM}, lacks, Auto, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, note, err := choose(test.request, test.result)
			if got != test.want || (note != "") != test.note || (err != nil) != test.fails {
				t.Errorf("got %v, note %q, error %v", got, note, err)
			}
			var unusable *UnusableError
			if test.fails && (!errors.As(err, &unusable) || unusable.Hint() != lacks.Hint) {
				t.Errorf("got error %v: want an UnusableError with the hint", err)
			}
		})
	}
}

func TestChooseTCG(t *testing.T) {
	if a, note, err := Choose(t.Context(), Request{Want: TCG}); a != TCG || note != "" || err != nil {
		t.Errorf("got %v, %q, %v", a, note, err)
	}
	if _, _, err := Choose(t.Context(), Request{Want: TCG, RequireKVM: true}); err == nil {
		t.Error("tcg where kvm is required: no error")
	}
}

func TestRemembered(t *testing.T) {
	forget := func() { memory.result = nil }
	t.Cleanup(forget)
	calls := 0
	find := func(r Result) func() (Result, error) {
		return func() (Result, error) { calls++; return r, nil }
	}
	dir := filepath.Join(t.TempDir(), "not yet there")
	slow := Result{Reason: Emulated, Detail: "slow"}
	busy := Result{Reason: Busy, Detail: "busy"}

	for i, step := range []struct {
		forget bool
		find   Result
		want   Result
		calls  int
	}{
		{true, busy, busy, 1},
		{false, busy, busy, 2}, // what may pass is not kept
		{false, slow, slow, 3},
		{false, busy, slow, 3}, // from memory
		{true, busy, slow, 3},  // from disk
	} {
		if step.forget {
			forget()
		}
		if got, err := remembered(dir, find(step.find)); err != nil || got != step.want || calls != step.calls {
			t.Errorf("step %d: got %+v, %v after %d calls", i, got, err, calls)
		}
	}

	for _, damaged := range []string{"", "{", `{"usable":true}`, `{"detail":"x","new":1}`} {
		if err := os.WriteFile(string(verdictFile(dir)), []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, ok := verdictFile(dir).load(); ok {
			t.Errorf("damaged verdict %q was read as %+v", damaged, got)
		}
	}
}

func TestVerdictWithoutCache(t *testing.T) {
	verdictFile("").store(Result{Detail: "x"})
	if _, ok := verdictFile("").load(); ok {
		t.Error("a verdict came from nowhere")
	}
	verdictFile(os.DevNull).store(Result{Detail: "x"}) // not a directory
}
