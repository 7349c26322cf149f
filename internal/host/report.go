package host

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Status is a check's outcome.
type Status string

const (
	OK      Status = "ok"
	Missing Status = "missing" // the group cannot serve its purpose
	Warn    Status = "warn"    // it can, but slower or not in full
)

// A Check is one thing looked at.
type Check struct {
	Name   string `json:"name"`
	Group  Group  `json:"group"`
	Status Status `json:"status"`
	// Detail is a version or a size where OK, and what is wrong otherwise.
	Detail string `json:"detail"`
	// Remedy is what the user can do about it, empty where OK.
	Remedy string `json:"remedy,omitempty"`

	// supply is what a package manager can install for it, or empty.
	supply supply
}

// A Report is the outcome of all checks, sorted by group.
type Report struct {
	Checks []Check `json:"checks"`
}

// Missing returns the checks of the groups, or of all when none is named, that
// must be mended before the groups serve their purpose.
func (r Report) Missing(groups ...Group) []Check {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c Check) bool {
		return c.Status != Missing || len(groups) > 0 && !slices.Contains(groups, c.Group)
	})
}

// Write renders the report as an aligned table, one part for each group, with
// remedies beneath what they mend.
func (r Report) Write(w io.Writer) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 8, 2, ' ', 0)
	var group Group
	for _, c := range r.Checks {
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(tw, "%s:\t\t\n", group)
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", c.Name, c.Status, oneLine(c.Detail))
		if c.Remedy != "" {
			fmt.Fprintf(tw, "\t\t  %s\n", oneLine(c.Remedy))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, trailing.ReplaceAllString(table.String(), "\n"))
	return err
}

// trailing is what tabwriter pads empty last cells with.
var trailing = regexp.MustCompile(` +\n`)

// oneLine keeps what a program printed from breaking the table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
