package console

import (
	"regexp"
	"strings"
	"time"
)

// A Splat is the kernel's report of a fault in itself.
type Splat struct {
	Title string
	Fatal bool // the kernel gave up
	// Stuck says that a part of the kernel does not go on: a lockup, a
	// stall, a task that hangs. What waits for it may wait for ever.
	Stuck bool
	Time  time.Time // when the title arrived
	Lines []string  // the report's first lines, Title among them
}

// What the kernel's reports begin with, after the time stamp. The list follows
// the strings in kernel/panic.c, lib/bug.c, mm/kasan, kernel/locking/lockdep.c,
// kernel/rcu, kernel/watchdog.c, kernel/hung_task.c and lib/ref_tracker.c.
var (
	panicTitle = regexp.MustCompile(`^Kernel panic - not syncing`)
	splatTitle = regexp.MustCompile(`^(BUG: |WARNING: |kernel BUG at |Oops: |general protection fault|` +
		`Unable to handle kernel |Internal error: |double fault:|UBSAN: |ref_tracker: .* has|` +
		`INFO: trying to register non-static key)`)
	stuckTitle = regexp.MustCompile(`^(watchdog: BUG: |watchdog: .* hard LOCKUP|NMI watchdog: Watchdog detected |BUG: workqueue lockup|` +
		`INFO: task .* blocked for more than |rcu: INFO: .* detected (expedited )?stalls|INFO: rcu_.* detected stalls|` +
		`rcu: INFO: .* self-detected stall)`)
	// followUp are titles of reports that also occur within one, where they
	// belong to it.
	followUp = regexp.MustCompile(`^(Oops: |Internal error: )`)
	// A fatal exception says "Kernel panic" only after its own report; a
	// sysrq crash begins with this.
	timestamp = regexp.MustCompile(`^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?`)
)

// titled is the splat that begins with a line, if one does.
func titled(line string) (s Splat, ok bool) {
	text := timestamp.ReplaceAllString(line, "")
	if len(text) == len(line) {
		return Splat{}, false // the kernel's own lines have a time stamp
	}
	s = Splat{Title: text, Fatal: panicTitle.MatchString(text), Stuck: stuckTitle.MatchString(text), Lines: []string{line}}
	return s, s.Fatal || s.Stuck || splatTitle.MatchString(text)
}

// fingerprintSymbols is how many functions of the trace tell one fault from
// another with the same title. Those further out depend on what the test did.
const fingerprintSymbols = 3

var (
	// What differs from one time to the next: processors and processes,
	// addresses, offsets, line numbers, durations.
	cpuAndPID = regexp.MustCompile(` CPU: \d+ PID: \d+`)
	offset    = regexp.MustCompile(`\+0x[0-9a-f]+/0x[0-9a-f]+`)
	sourceAt  = regexp.MustCompile(`(\.[chS])(?::\d+)+`)
	number    = regexp.MustCompile(`\b(0x[0-9a-f]+|[0-9a-f]{16}|\d+s?)\b`)

	// Where the kernel was: "RIP: 0010:f+0x1/0x2", arm64's "pc : f+0x1/0x2",
	// and a line of the trace, less those that it is not sure of ("? f").
	symbolLine = regexp.MustCompile(`^(?:RIP: \d+:| ?pc : | {1,2})([A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+`)
	// The reporting itself, and waiting.
	reporting = regexp.MustCompile(`^(_*schedule|_*mutex_lock|rwsem_|down_(read|write)|_*wait_for_|_*dump_stack|show_stack|dump_backtrace|_*warn\b|_*warn_|report_bug|handle_bug|` +
		`(asm_)?exc_|(asm_)?sysvec_|print_|kasan_|_*ubsan_|check_panic_on_warn|_*might_|die|oops_|page_fault_oops|watchdog_|panic$)`)
)

// Fingerprint is the same each time the same fault is reported: the title less
// what changes, and the innermost functions.
//
//	WARNING: at kernel/trace/ftrace.c ftrace_bug; ftrace_process_locs, ftrace_module_init
func (s Splat) Fingerprint() string {
	title := cpuAndPID.ReplaceAllString(s.Title, "")
	title = offset.ReplaceAllString(title, "")
	title = sourceAt.ReplaceAllString(title, "$1")
	title = number.ReplaceAllString(title, "N")
	var symbols []string
	for _, line := range s.Lines {
		text := timestamp.ReplaceAllString(line, "")
		m := symbolLine.FindStringSubmatch(text)
		if m == nil || reporting.MatchString(m[1]) || strings.HasSuffix(title, " "+m[1]) {
			continue
		}
		// gcc's suffixes differ from build to build.
		name, _, _ := strings.Cut(m[1], ".")
		if len(symbols) == 0 || symbols[len(symbols)-1] != name {
			symbols = append(symbols, name)
		}
		if len(symbols) == fingerprintSymbols {
			break
		}
	}
	if len(symbols) == 0 {
		return title
	}
	return title + "; " + strings.Join(symbols, ", ")
}
