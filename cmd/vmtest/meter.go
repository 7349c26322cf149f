package main

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/bpf-vmtest/bpf-vmtest/builder"
)

// A meter shows how far a build has come: a bar on a terminal, a line a phase
// elsewhere.
type meter struct {
	w     io.Writer
	name  string // of the kernel, before each phase's
	phase string
	bar   *progressbar.ProgressBar
	shown time.Time
}

func newMeter(w io.Writer, name string) *meter { return &meter{w: w, name: name} }

func (m *meter) progress(p builder.Progress) {
	if p.Phase != m.phase {
		m.finish()
		m.phase = p.Phase
		if isTerminal(m.w) {
			m.bar = progressbar.NewOptions64(max(p.Total, -1),
				progressbar.OptionSetWriter(m.w), progressbar.OptionSetDescription(m.name+p.Phase),
				progressbar.OptionShowBytes(p.Unit == "bytes"), progressbar.OptionShowCount(),
				progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
		} else {
			fmt.Fprintf(m.w, "vmtest: %s%s\n", m.name, p.Phase)
		}
		m.shown = time.Now()
	}
	switch {
	case m.bar != nil:
		if p.Total > 0 {
			m.bar.ChangeMax64(max(p.Total, p.Done))
		}
		_ = m.bar.Set64(p.Done)
	case p.Unit == "objects" && time.Since(m.shown) > 30*time.Second:
		m.shown = time.Now()
		fmt.Fprintf(m.w, "vmtest: %s%s: %d of about %d objects\n", m.name, p.Phase, p.Done, p.Total)
	}
}

// notice shows a line of its own.
func (m *meter) notice(text string) {
	m.finish()
	fmt.Fprintf(m.w, "vmtest: notice: %s%s\n", m.name, text)
}

func (m *meter) finish() {
	if m.bar != nil {
		_ = m.bar.Finish()
		m.bar = nil
	}
}
