package accel

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestJudge(t *testing.T) {
	good := observation{
		hostArch: "amd64", guestArch: "amd64", api: apiVersion,
		stop: exit{reason: exitMark, mark: markEnd}, loop: 200 * time.Microsecond,
	}
	with := func(change func(*observation)) observation {
		o := good
		change(&o)
		return o
	}
	openError := func(errno unix.Errno) observation {
		return with(func(o *observation) { o.open = &fs.PathError{Op: "open", Path: device, Err: errno} })
	}
	stop := func(e exit) observation { return with(func(o *observation) { o.stop = e }) }

	for _, test := range []struct {
		name string
		seen observation
		want Reason
	}{
		{"good", good, ""},
		{"slow but real", with(func(o *observation) { o.loop = loopLimit }), ""},
		{"other arch", with(func(o *observation) { o.guestArch = "arm64" }), WrongArch},
		{"no device", openError(unix.ENOENT), Missing},
		{"no driver", openError(unix.ENODEV), Missing},
		{"mode 0600", openError(unix.EACCES), Forbidden},
		{"device cgroup", openError(unix.EPERM), Forbidden},
		{"busy device", openError(unix.EBUSY), Busy},
		{"out of files", openError(unix.EMFILE), Broken},
		{"another device", with(func(o *observation) { o.open = fmt.Errorf("KVM_GET_API_VERSION: %w", unix.ENOTTY) }), Broken},
		{"not KVM", with(func(o *observation) { o.api = 11 }), Broken},
		{"VirtualBox runs", with(func(o *observation) { o.setup = fmt.Errorf("KVM_CREATE_VM: %w", unix.EBUSY) }), Busy},
		{"no memory", with(func(o *observation) { o.setup = fmt.Errorf("KVM_CREATE_VM: %w", unix.ENOMEM) }), Broken},
		{"emulation failure", stop(exit{reason: exitInternalError, detail: 1}), Emulated},
		{"slow loop", with(func(o *observation) { o.loop = 130 * time.Millisecond }), Emulated},
		{"hangs", stop(exit{reason: exitTimeout}), Broken},
		{"triple fault", stop(exit{reason: exitShutdown}), Broken},
		{"failed entry", stop(exit{reason: exitFailEntry}), Broken},
		{"run fails", stop(exit{reason: exitRunFailed, detail: uint64(unix.EFAULT)}), Broken},
		{"stops half-way", stop(exit{reason: exitMark, mark: markInstructions}), Broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.seen.judge()
			if got.Reason != test.want || got.Usable != (test.want == "") {
				t.Errorf("got %+v, want reason %q", got, test.want)
			}
			if got.Detail == "" || strings.HasSuffix(got.Detail, ".") {
				t.Errorf("detail %q is not a sentence without its full stop", got.Detail)
			}
		})
	}
}
