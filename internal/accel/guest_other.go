//go:build !amd64 && !arm64

package accel

import (
	"errors"
	"runtime"
)

// No program is known for this architecture, so none reports these.
const (
	markInstructions mark = 1
	markEnd          mark = 2
)

func (m *machine) load(uintptr) error {
	return errors.New("no test guest exists for " + runtime.GOARCH)
}
