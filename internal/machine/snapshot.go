package machine

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/sandbox"
)

// A Snapshot is a machine at rest: two files, from which any number of machines
// of the same description can be started. Shares are no part of it, as long as
// nothing is mounted: those of the new machine need to have the same tags and
// may export other directories.
type Snapshot struct {
	RAM   string // the guest's memory; sparse, and as large as that
	State string // the devices
	// ReadOnly says that QEMU need not be able to write to the memory's file to start
	// a machine from it. Save sets it.
	ReadOnly bool
}

// mapsReadOnly is the first QEMU with rom=off: a machine's memory can be a private copy
// of a file that it cannot write to.
var mapsReadOnly = version{8, 2}

// hand makes the memory's file one that nobody may write to, which QEMU must for
// saving the machine, and many must later. Nobody else gets into its directory.
func (s *Snapshot) hand() error {
	f, err := os.OpenFile(s.RAM, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chown(sandbox.Nobody, sandbox.Nobody), f.Close())
}

// handed says why nobody cannot start a machine from it, if that is so.
func (s *Snapshot) handed() error {
	info, err := os.Stat(s.RAM)
	if err == nil && !s.ReadOnly && info.Sys().(*syscall.Stat_t).Uid != sandbox.Nobody {
		err = errors.New("the saved machine is root's")
	}
	return err
}

// A SnapshotError says that this QEMU cannot save or restore this machine.
type SnapshotError struct {
	Op  string // save or restore
	Err error
}

func (e *SnapshotError) Error() string { return e.Op + " the machine: " + e.Err.Error() }
func (e *SnapshotError) Unwrap() error { return e.Err }

// Save stops a machine whose RAM lies in its snapshot, writes the rest of the
// snapshot and ends the machine.
func (m *Machine) Save() error {
	err := m.save()
	if err != nil {
		err = m.blame(err)
	} else {
		err = m.Wait()
	}
	if err == nil && m.Snapshot.ReadOnly { // nobody need write to it any more
		err = os.Chown(m.Snapshot.RAM, os.Geteuid(), os.Getegid())
	}
	if err != nil {
		return &SnapshotError{"save", err}
	}
	return nil
}

func (m *Machine) save() (err error) {
	q, err := openMonitor(m.monitor)
	if err != nil {
		return err
	}
	defer q.conn.Close()
	state, err := os.OpenFile(m.Snapshot.State, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	if err := q.save(state); err != nil {
		return err
	}
	m.Snapshot.ReadOnly = !q.version.before(mapsReadOnly)
	// It may be gone, and the connection closed, before its answer has been read.
	if err := q.execute("quit", nil, nil); err != nil && !isHangup(err) {
		return err
	}
	return nil
}

// restore makes the machine that has just been started the one of its snapshot.
func (m *Machine) restore() error {
	if err := m.load(); err != nil {
		return &SnapshotError{"restore", m.blame(err)}
	}
	return nil
}

// blame ends QEMU after an error in talking to it, and returns QEMU's own error
// if it was that which broke off.
func (m *Machine) blame(err error) error {
	if isHangup(err) {
		select {
		case <-m.Done():
		case <-time.After(5 * time.Second):
		}
	}
	_ = m.Kill()
	if exit := m.Wait(); exit != nil && isHangup(err) {
		return exit
	}
	return err
}

func (m *Machine) load() error {
	state, err := os.Open(m.Snapshot.State)
	if err != nil {
		return err
	}
	defer state.Close()
	q, err := openMonitor(m.monitor)
	if err != nil {
		return err
	}
	defer q.conn.Close()
	return q.restore(state)
}

// snapshotMemory keeps the guest's memory in a file. Machines that are restored
// write to copies of its pages.
type snapshotMemory struct {
	mib int
	Snapshot
	restore bool
}

// snapshotRAM is the name of the memory in the command line.
const snapshotRAM = "ram"

func (s snapshotMemory) args() []string {
	mode := ",share=on"
	if s.restore {
		mode = ",share=off"
	}
	if s.restore && s.ReadOnly {
		mode += ",readonly=on,rom=off"
	}
	size := strconv.Itoa(s.mib) + "M"
	return []string{
		"-m", size,
		"-object", "memory-backend-file,id=" + snapshotRAM + ",size=" + size + ",mem-path=" + escape(s.RAM) + mode,
	}
}

// monitorPort is QEMU's control connection, for saving and restoring.
type monitorPort struct{ restore bool }

func (p monitorPort) args() []string {
	args := []string{"-chardev", "socket,id=monitor,fd=5", "-mon", "chardev=monitor,mode=control"}
	if p.restore {
		args = append(args, "-incoming", "defer")
	}
	return args
}
