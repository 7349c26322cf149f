package action

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// A Job is what the inputs came to, from one step of the Action to the next.
type Job struct {
	Inputs
	LockFile string // says what the references stand for
}

// NewJob makes the directory for the reports, unless the workflow names it,
// below the job's temporary one.
func NewJob(in *Inputs, temp string) (*Job, error) {
	j := &Job{Inputs: *in}
	var err error
	if j.Artifacts == "" {
		j.Artifacts, err = os.MkdirTemp(temp, "vmtest-")
	} else if j.Artifacts, err = filepath.Abs(j.Artifacts); err == nil {
		err = os.MkdirAll(j.Artifacts, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("make the directory for reports: %w", err)
	}
	j.LockFile = filepath.Join(j.Artifacts, "kernels.lock")
	return j, nil
}

// Save writes it to a file of the job's temporary directory.
func (j *Job) Save(temp string) (path string, err error) {
	text, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return "", err
	}
	path = filepath.Join(temp, filepath.Base(j.Artifacts)+".plan.json")
	return path, renameio.WriteFile(path, text, 0o644)
}

// ReadJob reads what Save wrote.
func ReadJob(path string) (*Job, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var j Job
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("read plan %q: %w", path, err)
	}
	return &j, nil
}
