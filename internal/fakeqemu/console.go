package fakeqemu

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// console is the kernel's log on a serial line.
type console struct {
	mu    sync.Mutex
	file  *os.File
	start time.Time
}

// print writes lines as printk and a serial port do.
func (c *console) print(lines ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range lines {
		fmt.Fprintf(c.file, "[%12.6f] %s\r\n", time.Since(c.start).Seconds(), line)
	}
}

var warning = []string{
	"------------[ cut here ]------------",
	"WARNING: CPU: 1 PID: 77 at kernel/fake.c:42 fake_update_elem+0x1c/0x30",
	"Modules linked in:",
	"Call Trace:",
	" <TASK>",
	" bpf_map_update_value+0x8e/0x2a0",
	" </TASK>",
	"---[ end trace 0000000000000000 ]---",
}

func panicReport(reason string) []string {
	return strings.Split(`Kernel panic - not syncing: `+reason+`
CPU: 0 PID: 77 Comm: fake.test Not tainted 6.12.1 #1
Call Trace:
 <TASK>
 panic+0x32a/0x350
 fake_handle_crash+0x16/0x20
 </TASK>
---[ end Kernel panic - not syncing: `+reason+` ]---`, "\n")
}
