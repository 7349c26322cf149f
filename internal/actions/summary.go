package actions

import (
	"errors"
	"fmt"
	"os"
)

// summaryLimit is what the runner takes of a step, in bytes; it drops a longer
// summary whole (FileCommandManager.cs of actions/runner).
const summaryLimit = 1 << 20

// AppendSummary appends a section to the step's summary, after what the step has
// written there before. It renders the section with the bytes that are left, or
// does nothing where the runner takes no summary.
func AppendSummary(render func(limit int) string) (err error) {
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("append to the job summary: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("append to the job summary: %w", err)
	}
	if _, err := f.WriteString(render(summaryLimit - int(info.Size()))); err != nil {
		return fmt.Errorf("append to the job summary: %w", err)
	}
	return nil
}
