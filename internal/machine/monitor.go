package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// A monitor is QEMU's control connection, which speaks QMP: a JSON object per
// command, per answer, and per event in between.
type monitor struct {
	conn    *net.UnixConn
	dec     *json.Decoder
	version version
	// migration is the state of saving or restoring that QEMU reported last.
	migration string
}

// monitorTimeout bounds a whole conversation. Each takes a few milliseconds of
// work, which a busy host may hold up.
const monitorTimeout = 30 * time.Second

// openMonitor reads QEMU's greeting from our end of the socket.
func openMonitor(near *net.UnixConn) (*monitor, error) {
	q := &monitor{conn: near, dec: json.NewDecoder(near)}
	err := q.conn.SetDeadline(time.Now().Add(monitorTimeout))
	var greeting struct {
		QMP struct {
			Version struct{ QEMU version }
		}
	}
	if err == nil {
		err = q.dec.Decode(&greeting)
	}
	q.version = greeting.QMP.Version.QEMU
	if err == nil {
		err = q.execute("qmp_capabilities", nil, nil)
	}
	if err != nil {
		q.conn.Close()
		return nil, fmt.Errorf("talk to QEMU's monitor: %w", err)
	}
	return q, nil
}

// version is QEMU's.
type version struct{ Major, Minor int }

func (v version) before(w version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

// message is anything that QEMU says.
type message struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Status string `json:"status"`
	} `json:"data"`
}

// execute runs a command, whose file goes along if there is one.
func (q *monitor) execute(command string, arguments any, file *os.File) error {
	b, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return err
	}
	var rights []byte
	if file != nil {
		rights = syscall.UnixRights(int(file.Fd()))
	}
	if _, _, err := q.conn.WriteMsgUnix(append(b, '\n'), rights, nil); err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	for {
		m, err := q.read()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", command, err)
		case m.Error != nil:
			return fmt.Errorf("%s: %s", command, m.Error.Desc)
		case m.Return != nil:
			return nil
		}
	}
}

func (q *monitor) read() (message, error) {
	var m message
	err := q.dec.Decode(&m)
	if m.Event == "MIGRATION" {
		q.migration = m.Data.Status
	}
	return m, err
}

// ignoreShared makes a migration leave out the guest's memory, which stays in
// its file, and report how it goes.
func (q *monitor) ignoreShared() error {
	type capability struct {
		Capability string `json:"capability"`
		State      bool   `json:"state"`
	}
	return q.execute("migrate-set-capabilities", map[string]any{"capabilities": []capability{
		{"events", true},
		{"x-ignore-shared", true},
	}}, nil)
}

// pass gives QEMU a file, under the name in [stateURI]. It cannot open one
// itself by name before version 8.2.
func (q *monitor) pass(state *os.File) error {
	return q.execute("getfd", map[string]string{"fdname": "state"}, state)
}

var stateURI = map[string]string{"uri": "fd:state"}

// save stops the machine and writes the state of its devices.
func (q *monitor) save(state *os.File) error {
	if err := q.execute("stop", nil, nil); err != nil {
		return err
	}
	if err := q.ignoreShared(); err != nil {
		return err
	}
	if err := q.pass(state); err != nil {
		return err
	}
	if err := q.execute("migrate", stateURI, nil); err != nil {
		return err
	}
	return q.awaitMigration()
}

func (q *monitor) awaitMigration() error {
	for q.migration != "completed" {
		if q.migration == "failed" || q.migration == "cancelled" {
			return errors.New("migrate: " + q.migration)
		}
		if _, err := q.read(); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
	}
	return nil
}

// restore reads the state of the devices and lets the machine, which was saved
// stopped, go on.
func (q *monitor) restore(state *os.File) error {
	if err := q.ignoreShared(); err != nil {
		return err
	}
	if err := q.pass(state); err != nil {
		return err
	}
	if err := q.execute("migrate-incoming", stateURI, nil); err != nil {
		return err
	}
	if err := q.awaitMigration(); err != nil {
		return err
	}
	return q.execute("cont", nil, nil)
}
