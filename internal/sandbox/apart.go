package sandbox

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart runs f on a thread of its own, which ends with it, for what f changes is the
// thread's. It does not wait for f.
func Apart(f func()) {
	go func() {
		runtime.LockOSThread() // for good: when the goroutine ends, so does the thread
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		// The first thread would go on, and is who the process is for all others. It
		// is held until another one has been found.
		found := make(chan struct{})
		Apart(func() {
			close(found)
			f()
		})
		<-found
		runtime.UnlockOSThread()
	}()
}
