package action

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// A Plan is what the inputs came to, from one step of the Action to the next.
type Plan struct {
	Inputs
	Lock string // the lock file, which says what the references stand for
}

// NewPlan makes the directory for the reports, unless the workflow names it,
// below the job's temporary one.
func NewPlan(in *Inputs, temp string) (*Plan, error) {
	p := &Plan{Inputs: *in}
	var err error
	if p.Artifacts == "" {
		p.Artifacts, err = os.MkdirTemp(temp, "vmtest-")
	} else if p.Artifacts, err = filepath.Abs(p.Artifacts); err == nil {
		err = os.MkdirAll(p.Artifacts, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("make the directory for reports: %w", err)
	}
	p.Lock = filepath.Join(p.Artifacts, "kernels.lock")
	return p, nil
}

// Save writes the plan to a file of the job's temporary directory.
func (p *Plan) Save(temp string) (path string, err error) {
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return "", err
	}
	path = filepath.Join(temp, filepath.Base(p.Artifacts)+".plan.json")
	return path, renameio.WriteFile(path, text, 0o644)
}

// ReadPlan reads what Save wrote.
func ReadPlan(path string) (*Plan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var p Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("read plan %q: %w", path, err)
	}
	return &p, nil
}
