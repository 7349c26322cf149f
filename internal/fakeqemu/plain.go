package fakeqemu

import (
	"bufio"
	"fmt"
	"strings"
)

// plain runs a machine that has no init of ours: a shell on the console.
func (m *machine) plain() {
	m.banner()
	switch m.kernel.Behavior {
	case Panics: // without panic= it stays where it is
		m.console.print(panicReport("VFS: Unable to mount root fs on unknown-block(0,0)")...)
		select {}
	case NoPrompt:
		select {}
	case Vanishes:
		return
	}
	in := bufio.NewReader(m.console.file)
	for {
		fmt.Fprint(m.console.file, "\r\n$ ")
		line, err := in.ReadString('\r')
		if err != nil {
			return
		}
		if strings.TrimSpace(line) != "poweroff" {
			continue
		}
		m.console.print("reboot: Power down")
		switch m.kernel.Behavior {
		case NoPowerOff:
			select {}
		case Halts:
			m.console.print("reboot: Power off not available: System halted instead")
			select {}
		case Restarts:
			m.banner()
		default:
			return
		}
	}
}

func (m *machine) banner() {
	m.console.print("Linux version "+m.kernel.Release+" (fake@vmtest) #1", "Command line: "+m.append)
}
