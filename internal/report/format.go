package report

import (
	"fmt"
	"io"
	"strings"
)

// A Format is a way to write a whole matrix down.
type Format struct {
	Name, What string
	write      func(*Matrix, io.Writer) error
}

// Formats are all of them.
var Formats = []Format{
	{"table", "the tests that differ between kernels or did not pass", (*Matrix).WriteTable},
	{"summary", "markdown for a job summary of GitHub", (*Matrix).writeSummary},
	{"junit", "JUnit's XML", (*Matrix).WriteJUnit},
	{"tap", "the Test Anything Protocol, version 14", (*Matrix).WriteTAP},
	{"annotations", "workflow commands that annotate failures on GitHub", (*Matrix).WriteAnnotations},
}

// summaryLimit is what GitHub takes, in bytes.
const summaryLimit = 1 << 20

func (m *Matrix) writeSummary(w io.Writer) error {
	_, err := io.WriteString(w, m.Summary(summaryLimit))
	return err
}

// Write writes the matrix in a format.
func (m *Matrix) Write(w io.Writer, format string) error {
	for _, f := range Formats {
		if f.Name == format {
			return f.write(m, w)
		}
	}
	return &FormatError{format}
}

// A FormatError names a format that there is not.
type FormatError struct{ Format string }

func (e *FormatError) Error() string { return fmt.Sprintf("format %q is not known", e.Format) }

// Hint lists the formats.
func (e *FormatError) Hint() string {
	names := []string{"text"}
	for _, f := range Formats {
		names = append(names, f.Name)
	}
	return "there are " + strings.Join(append(names, "json"), ", ") + " and gotest"
}

// ExitCode is that of a usage error.
func (e *FormatError) ExitCode() int { return 2 }

// Empty reports whether no stream has been gathered.
func (m *Matrix) Empty() bool { return m.packages == nil }
