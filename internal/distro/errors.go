package distro

import (
	"fmt"
	"strings"
)

// hinted is an error that comes with advice.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// Hint says what the user can do about the error.
func (e *hinted) Hint() string { return e.hint }

// GoneError says that the mirror no longer has the one package that was asked
// for.
type GoneError struct{ Package }

func (e *GoneError) Error() string {
	return fmt.Sprintf("find package %q %s: %s no longer has it, with the SHA-256 %s", e.Name, e.Version, e.Suite, e.SHA256)
}

// NotFoundError says that no suite holds what was asked for.
type NotFoundError struct {
	What   string   // as asked for, such as "debian:4.4"
	Suites []string // where it was looked for
	Has    []string // what those suites hold instead, newest first, if anything
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("find package %q: not in %s", e.What, strings.Join(e.Suites, ", "))
}

// Hint names what there is instead.
func (e *NotFoundError) Hint() string {
	if len(e.Has) == 0 {
		return "name another suite after an @, as in debian:6.12@bookworm-backports"
	}
	return "those suites have " + strings.Join(e.Has, ", ") + "; another suite can be named after an @, as in debian:6.12@bookworm-backports"
}
