package artifact

import (
	"fmt"
	"regexp"
	"time"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Name is everything that the tags of a kernel are made of.
type Name struct {
	Version  kver.Version
	Flavour  string   // "" is the default flavour
	Date     string   // YYYYMMDD, and .N for another build of that day; "" gives no dated tag
	Channels []string // such as stable
}

// Tags are the kernel's tags in the order in which they are moved: that of one
// build first, which never moves again, then those of the version, the series
// and the channels. For 6.12.94 they are
//
//	6.12.94-20261121  6.12.94  6.12  stable
//
// and for its flavour debug 6.12.94-20261121-debug, 6.12.94-debug and so on.
func (n Name) Tags() []string {
	var tags []string
	if n.Date != "" {
		tags = append(tags, n.Version.String()+"-"+n.Date)
	}
	tags = append(tags, n.Version.String())
	series := n.Version.Series()
	if n.Version.RC != 0 { // what the catalogue calls it, and stays when 7.3 is there
		tags = append(tags, series.String()+"-rc")
	}
	if series != n.Version {
		tags = append(tags, series.String())
	}
	tags = append(tags, n.Channels...)
	if n.Flavour != "" {
		for i := range tags {
			tags[i] += "-" + n.Flavour
		}
	}
	return tags
}

var (
	datePattern = regexp.MustCompile(`^(\d{8})(\.[1-9]\d{0,3})?$`)
	dated       = regexp.MustCompile(`^\d+\.\d+(\.\d+)?(-rc\d+)?-\d{8}(\.\d+)?(-[a-z][a-z0-9]*)?$`)
	flavour     = regexp.MustCompile(`^([a-z][a-z0-9]*)?$`)
	candidate   = regexp.MustCompile(`^rc\d*$`)
)

// IsDated reports whether the tag is that of one build, which never moves.
func IsDated(tag string) bool { return dated.MatchString(tag) }

// isFlavour reports whether the flavour can be the end of a tag that is not the
// tag of something else as well.
func isFlavour(s string) bool { return flavour.MatchString(s) && !candidate.MatchString(s) }

// CheckDate finds out whether the date can be part of a tag.
func CheckDate(date string) error {
	if m := datePattern.FindStringSubmatch(date); m != nil {
		if _, err := time.Parse("20060102", m[1]); err == nil {
			return nil
		}
	}
	return fmt.Errorf("parse date %q: want YYYYMMDD, or YYYYMMDD.N for another build of that day", date)
}
