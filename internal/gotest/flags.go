package gotest

import (
	"strconv"
	"time"
)

// Flags are the flags of go test that matter when a binary runs.
type Flags struct {
	Run, Skip, Bench string
	Count            int // 1 unless given
	Verbose          bool
	Timeout          time.Duration // 0 is none
	P                int           // packages at a time in one kernel; 0 is one
	Cover            bool
	CoverProfile     string   // file of the merged profile, or empty
	Pass             []string // flags given to the binary as they are, such as -test.short=true
	Args             []string // what follows -args
}

// Binary is the command line of a test binary, after its name. The patterns are
// those of this kernel, blocklist included; profile is where the binary writes
// its coverage, and artifacts the directory for what t.ArtifactDir is asked for,
// or empty.
func (f Flags) Binary(run, skip, profile, artifacts string) []string {
	args := []string{
		"-test.paniconexit0", // as go test does: os.Exit(0) in a test is no success
		"-test.v=test2json",  // every test must report
		"-test.timeout=" + f.Timeout.String(),
		"-test.count=" + strconv.Itoa(f.Count),
	}
	for _, p := range []struct{ flag, value string }{
		{"-test.run", run}, {"-test.skip", skip}, {"-test.bench", f.Bench}, {"-test.coverprofile", profile}, {"-test.outputdir", artifacts},
	} {
		if p.value != "" {
			args = append(args, p.flag+"="+p.value)
		}
	}
	if artifacts != "" {
		args = append(args, "-test.artifacts")
	}
	return append(append(args, f.Pass...), f.Args...)
}

// Expects reports whether a top-level test has to report, as far as the
// patterns go.
func Expects(t Test, run, skip Pattern) bool {
	if t.Kind == KindBenchmark {
		return false // they print results, not reports
	}
	return (len(run) == 0 || run.MatchTop(t.Name)) && !skip.SkipTop(t.Name)
}
