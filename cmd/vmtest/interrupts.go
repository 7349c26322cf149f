package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/bpf-vmtest/bpf-vmtest/internal/runner"
)

// interrupts decides what a signal does: while a command runs in a guest the
// first one is the command's, otherwise it ends the program in order. Another
// one after that ends the program at once.
type interrupts struct {
	mu     sync.Mutex
	to     chan syscall.Signal // nil unless a command runs
	cancel context.CancelCauseFunc
	all    chan os.Signal
}

// An interruption is the cause of a context that a signal ended.
type interruption struct{ os.Signal }

func (i interruption) Error() string {
	if s, ok := i.Signal.(syscall.Signal); ok {
		return "interrupted by " + runner.SignalName(s)
	}
	return "interrupted"
}

// ExitCode is the shell's convention.
func (i interruption) ExitCode() int {
	if s, ok := i.Signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 1
}

// catchInterrupts returns a context that ends at the first signal that nobody
// else wants.
func catchInterrupts(parent context.Context) (*interrupts, context.Context) {
	ctx, cancel := context.WithCancelCause(parent)
	i := &interrupts{cancel: cancel, all: make(chan os.Signal, 8)}
	signal.Notify(i.all, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	go func() {
		for s := range i.all {
			i.deliver(s)
		}
	}()
	return i, ctx
}

func (i *interrupts) deliver(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.to != nil {
		select {
		case i.to <- s.(syscall.Signal):
		default:
		}
		i.to = nil // the next one is ours
		return
	}
	signal.Stop(i.all) // the one after finds the default action
	i.cancel(interruption{s})
}

// forward gives the next signal to a command, until stop is called.
func (i *interrupts) forward() (signals <-chan syscall.Signal, stop func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.to = make(chan syscall.Signal, 1)
	return i.to, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.to = nil
	}
}
