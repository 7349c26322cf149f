package fakeqemu

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// snapshot is what a machine that can be saved, or is to be restored, was told
// about it.
type snapshot struct {
	ram      string // file of the memory, or empty
	size     string
	incoming bool
}

// savedState is all that there is to a fake machine before its setup. The
// machine that is restored from it must have as many shares.
func (m *machine) savedState() string { return fmt.Sprintf("fake state, %d shares\n", len(m.shares)) }

// allocate makes the memory's file as QEMU does.
func (s snapshot) allocate() error {
	var mib int64
	if _, err := fmt.Sscanf(s.size, "%dM", &mib); err != nil {
		return fmt.Errorf("-object: size %q: %w", s.size, err)
	}
	f, err := os.OpenFile(s.ram, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return f.Truncate(mib << 20)
	}
	if info.Size() != mib<<20 {
		return fmt.Errorf("backing store size %#x does not match 'size' option %#x", info.Size(), mib<<20)
	}
	return nil
}

// monitor serves QMP until the machine runs: at once, if it is to be restored
// until it was.
func (m *machine) monitor() error {
	c, err := net.FileConn(os.NewFile(5, "monitor"))
	if err != nil {
		return err
	}
	conn := c.(*net.UnixConn)
	fmt.Fprintln(conn, `{"QMP": {"version": {}, "capabilities": []}}`)
	var state *os.File
	buf, oob := make([]byte, 4096), make([]byte, 64)
	for {
		// Commands come one at a time, each in one write.
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return nil // vmtest has closed it
		}
		if f := received(oob[:oobn]); f != nil {
			state = f
		}
		var command struct {
			Execute string `json:"execute"`
		}
		if err := json.Unmarshal(buf[:n], &command); err != nil {
			return err
		}
		events := ""
		switch command.Execute {
		case "migrate":
			events = "completed"
			if _, err := state.WriteString(m.savedState()); err != nil || m.kernel.Behavior == Unsaveable {
				events = "failed"
			}
			state.Close()
		case "migrate-incoming":
			b, err := io.ReadAll(state)
			if err != nil || string(b) != m.savedState() || m.kernel.Behavior == Unrestorable {
				return fmt.Errorf("load of migration failed: %q", b)
			}
			events = "completed"
		case "qmp_capabilities", "stop", "migrate-set-capabilities", "getfd", "cont", "quit":
		default:
			fmt.Fprintf(conn, `{"error": {"class": "CommandNotFound", "desc": "The command %s has not been found"}}`+"\n", command.Execute)
			continue
		}
		fmt.Fprintln(conn, `{"return": {}}`)
		if events != "" {
			fmt.Fprintf(conn, `{"event": "MIGRATION", "data": {"status": "%s"}, "timestamp": {}}`+"\n", events)
		}
		switch command.Execute {
		case "cont":
			return nil
		case "quit":
			os.Exit(0)
		}
	}
}

// received is the file that came with a command, if one did.
func received(oob []byte) *os.File {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "state")
}

// memory takes -object.
func (s *snapshot) memory(value string) error {
	o := options(value)
	if o[""] != "memory-backend-file" {
		return fmt.Errorf("-object %s: unknown type", value)
	}
	s.ram, s.size = o["mem-path"], o["size"]
	if !strings.HasPrefix(s.ram, "/") {
		return fmt.Errorf("-object %s: no file", value)
	}
	return nil
}
