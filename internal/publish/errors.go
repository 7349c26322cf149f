package publish

import (
	"errors"
	"fmt"
)

// An Error is a kernel that cannot be published as it is. Nothing was changed.
type Error struct {
	Kernel string
	Cause  error
	hint   string
}

func (e *Error) Error() string {
	if e.Kernel == "" {
		return "publish kernel: " + e.Cause.Error()
	}
	return "publish kernel " + e.Kernel + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// ExitCode says that what the user named is at fault.
func (e *Error) ExitCode() int { return 2 }

// Hint says what the user can do.
func (e *Error) Hint() string {
	var hinted interface{ Hint() string }
	switch {
	case e.hint != "":
		return e.hint
	case errors.Is(e.Cause, errUntested):
		return "`vmtest kernel build` without -no-boot boots what it packs"
	case errors.As(e.Cause, &hinted):
		return hinted.Hint()
	}
	return ""
}

// A RepositoryError is a name that no repository can have.
type RepositoryError struct {
	Input string
	Cause error
}

func (e *RepositoryError) Error() string {
	return fmt.Sprintf("parse repository %q: %v", e.Input, e.Cause)
}

func (e *RepositoryError) Unwrap() error { return e.Cause }

// ExitCode says that the user wrote something wrong.
func (e *RepositoryError) ExitCode() int { return 2 }

// Hint shows one.
func (e *RepositoryError) Hint() string {
	return "want HOST/REPOSITORY, such as ghcr.io/org/kernels, without a tag"
}
