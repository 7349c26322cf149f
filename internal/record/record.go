// Package record keeps the results of runs, so that they can be looked at
// again: for each directory that tests were run from, the last few.
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// kept is how many runs of a directory stay.
const kept = 10

// A Record is a run being recorded. What is written to it is its result stream;
// other files may be put beside it.
type Record struct {
	Dir  string
	home string
	file *os.File
}

// A stream gets its name when the run has ended, so that a run under way, or
// one that was killed, is nobody's last run.
const (
	streamName  = "results.jsonl"
	partialName = "results.jsonl.partial"
)

// home is where the runs from a directory are kept.
func home(cache, dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(cache, "runs", hex.EncodeToString(sum[:8]))
}

// Create begins a record of a run from dir.
func Create(cache, dir string) (*Record, error) {
	h := home(cache, dir)
	if err := os.MkdirAll(h, 0o755); err != nil {
		return nil, fmt.Errorf("record results: %w", err)
	}
	// Names sort by time, and two runs at once get different ones.
	run, err := os.MkdirTemp(h, time.Now().UTC().Format("20060102T150405.000-"))
	if err != nil {
		return nil, fmt.Errorf("record results: %w", err)
	}
	f, err := os.Create(filepath.Join(run, partialName))
	if err != nil {
		return nil, fmt.Errorf("record results: %w", err)
	}
	return &Record{Dir: run, home: h, file: f}, nil
}

// Write appends to the stream.
func (r *Record) Write(b []byte) (int, error) { return r.file.Write(b) }

// Close ends the record and removes old ones. A run that recorded nothing
// leaves nothing.
func (r *Record) Close() error {
	info, statErr := r.file.Stat()
	if err := errors.Join(statErr, r.file.Close()); err != nil {
		return fmt.Errorf("record results: %w", err)
	}
	if info.Size() == 0 {
		return os.RemoveAll(r.Dir)
	}
	if err := os.Rename(filepath.Join(r.Dir, partialName), filepath.Join(r.Dir, streamName)); err != nil {
		return fmt.Errorf("record results: %w", err)
	}
	runs, err := list(r.home)
	if err != nil {
		return err
	}
	for _, old := range runs[:max(0, len(runs)-kept)] {
		if err := os.RemoveAll(filepath.Join(r.home, old)); err != nil {
			return fmt.Errorf("remove old results: %w", err)
		}
	}
	return nil
}

func list(home string) ([]string, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return nil, fmt.Errorf("list results: %w", err)
	}
	var runs []string
	for _, e := range entries {
		if e.IsDir() {
			runs = append(runs, e.Name())
		}
	}
	slices.Sort(runs)
	return runs, nil
}

// ErrNone says that no run from a directory is recorded.
var ErrNone = errors.New("no run from this directory is recorded")

// Last opens the stream of the last run from dir.
func Last(cache, dir string) (*os.File, error) {
	h := home(cache, dir)
	runs, err := list(h)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	for _, run := range slices.Backward(runs) {
		f, err := os.Open(filepath.Join(h, run, streamName))
		if err == nil {
			return f, nil
		}
	}
	return nil, ErrNone
}
