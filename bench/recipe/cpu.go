package main

import (
	"syscall"
	"time"
)

// childrenCPU is the time that processors spent on children that have ended,
// and on theirs.
func childrenCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		panic(err) // there is no other reason than a wrong argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
