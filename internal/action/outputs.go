package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/bpf-vmtest/bpf-vmtest/internal/report"
	"github.com/bpf-vmtest/bpf-vmtest/internal/result"
)

// BundleName is the directory, among the files, for what the kernels have left.
// Files that tests have written are in it.
const BundleName = "bundle"

// Files are what a run leaves in a directory.
type Files struct{ Dir string }

// Results is the result stream.
func (f Files) Results() string { return filepath.Join(f.Dir, "results.jsonl") }

func (f Files) junit() string    { return filepath.Join(f.Dir, "junit.xml") }
func (f Files) html() string     { return filepath.Join(f.Dir, "report.html") }
func (f Files) table() string    { return filepath.Join(f.Dir, "table.txt") }
func (f Files) coverage() string { return filepath.Join(f.Dir, "coverage.out") }
func (f Files) bundle() string   { return filepath.Join(f.Dir, BundleName) }

// ReportFlags make vmtest report write them.
func (f Files) ReportFlags() []string {
	return []string{"-jsonl=" + f.Results(), "-junit=" + f.junit(), "-html=" + f.html()}
}

// TestFlags make vmtest test write them.
func (f Files) TestFlags(coverage bool) []string {
	flags := append(f.ReportFlags(), "-artifacts="+f.bundle())
	if coverage {
		flags = append(flags, "-coverprofile="+f.coverage())
	}
	return flags
}

// Outputs are the Action's, by name.
type Outputs map[string]string

// Outputs adds the table to the files, and says what is in them. Of a run that
// left no stream there is nothing to say.
func (f Files) Outputs() (Outputs, error) {
	stream, err := os.Open(f.Results())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var m report.Matrix
	if err := result.Decode(stream, &m); err != nil {
		return nil, err
	}
	if err := f.writeTable(&m); err != nil {
		return nil, err
	}
	digests, err := json.Marshal(m.Digests())
	if err != nil {
		return nil, err
	}
	passed, failed, flaky := m.Count()
	out := Outputs{
		"artifacts": f.Dir, "results": f.Results(), "junit": f.junit(), "html": f.html(), "table": f.table(),
		"code": strconv.Itoa(m.Code()), "passed": strconv.Itoa(passed), "failed": strconv.Itoa(failed),
		"flaky":   strconv.Itoa(flaky),
		"digests": string(digests),
	}
	if _, err := os.Stat(f.coverage()); err == nil {
		out["coverage"] = f.coverage()
	}
	return out, nil
}

func (f Files) writeTable(m *report.Matrix) error {
	file, err := report.Create(f.table())
	if err != nil {
		return err
	}
	defer file.Cancel()
	if err := m.Write(file, "table"); err != nil {
		return err
	}
	return file.Close()
}

// Set writes the outputs for the runner to read.
func (o Outputs) Set() error {
	path := os.Getenv("GITHUB_OUTPUT")
	f, err := os.OpenFile(path, os.O_WRONLY, 0) // githubactions panics where it cannot write
	if err != nil {
		return fmt.Errorf("set outputs: GITHUB_OUTPUT: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	a := githubactions.New()
	for name, value := range o {
		if strings.ContainsAny(value, "\r\n") { // might end the value and set another
			return fmt.Errorf("set output %s: %q has more than one line", name, value)
		}
		a.SetOutput(name, value)
	}
	return nil
}

// Input returns one of the Action's inputs, as action.yml hands it on.
func Input(name string) string {
	return githubactions.New().GetInput(strings.ReplaceAll(name, "-", "_"))
}
