package machine

import (
	"errors"
	"os"
	"strconv"
	"time"
)

// A Snapshot is a machine at rest: two files, from which any number of machines
// of the same description can be started. Shares are no part of it, as long as
// nothing is mounted: those of the new machine need to have the same tags and
// may export other directories.
type Snapshot struct {
	RAM   string // the guest's memory; sparse, and as large as that
	State string // the devices
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
	return q.execute("quit", nil, nil)
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
	mib     int
	path    string
	restore bool
}

// snapshotRAM is the name of the memory in the command line.
const snapshotRAM = "ram"

func (s snapshotMemory) args() []string {
	share := "on"
	if s.restore {
		share = "off"
	}
	size := strconv.Itoa(s.mib) + "M"
	return []string{
		"-m", size,
		"-object", "memory-backend-file,id=" + snapshotRAM + ",size=" + size + ",mem-path=" + escape(s.path) + ",share=" + share,
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
