package report

import (
	"fmt"
	"io"
	"strings"
)

// A Format is a way to write a whole matrix down.
type Format struct {
	Name, What string
	// File says that it is one that is written to files.
	File  bool
	write func(*Matrix, io.Writer) error
}

// Formats are all of them.
var Formats = []Format{
	{"table", "a table of the tests that differ or did not pass", false, (*Matrix).WriteTable},
	{"summary", "a summary in GitHub's markdown", true, (*Matrix).writeSummary},
	{"junit", "JUnit's XML", true, (*Matrix).WriteJUnit},
	{"html", "a page with all details", true, (*Matrix).WriteHTML},
	{"tap", "TAP, version 14,", true, (*Matrix).WriteTAP},
	{"annotations", "workflow commands that annotate failures on GitHub", false, (*Matrix).WriteAnnotations},
}

// summaryLimit is what GitHub takes, in bytes.
const summaryLimit = 1 << 20

func (m *Matrix) writeSummary(w io.Writer) error {
	_, err := io.WriteString(w, m.Summary(summaryLimit))
	return err
}

// Write writes the matrix in a format.
func (m *Matrix) Write(w io.Writer, format string) error {
	f, err := find(format)
	if err != nil {
		return err
	}
	return f.write(m, w)
}

// CheckFormat returns a *FormatError for what is no format.
func CheckFormat(name string) error {
	_, err := find(name)
	return err
}

func find(name string) (Format, error) {
	for _, f := range Formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, &FormatError{name}
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
