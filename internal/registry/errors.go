package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Error is a registry that did not give what it was asked for.
type Error struct {
	Repository name.Repository
	// Status is what it answered, in HTTP's codes, or 0 if it did not.
	Status int
	// User is whose credentials it was shown, empty if none were.
	User string
	// Writing says that it was to be written to.
	Writing bool
	Cause   error
}

func (e *Error) Error() string {
	registry := e.Repository.RegistryStr()
	switch {
	case e.Status == http.StatusUnauthorized && e.User == "":
		return fmt.Sprintf("ask registry %q: it wants credentials: %v", registry, e.Cause)
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("ask registry %q: it refuses the credentials of %q: %v", registry, e.User, e.Cause)
	case e.Status == http.StatusForbidden && e.User != "":
		return fmt.Sprintf("ask registry %q: it denies %q access to %s: %v", registry, e.User, e.Repository.RepositoryStr(), e.Cause)
	}
	return fmt.Sprintf("ask registry %q: %v", registry, e.Cause)
}

func (e *Error) Unwrap() error { return e.Cause }

// Missing reports whether the registry has answered that it does not have it.
func (e *Error) Missing() bool { return e.Status == http.StatusNotFound }

// Final reports whether the registry has answered, and would answer the same
// again: what it was asked for is not to be had from it.
func (e *Error) Final() bool { return e.Status != 0 && !overloaded(e.Status) }

// Hint says what the user can do.
func (e *Error) Hint() string {
	login := "docker login " + e.Repository.RegistryStr()
	if e.Repository.RegistryStr() == "ghcr.io" {
		login += ", or set GITHUB_TOKEN"
	}
	switch {
	case e.Writing && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return "log in as somebody who may write there: " + login
	case e.Status == http.StatusUnauthorized && e.User != "":
		return "log in again: " + login
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return "if the image exists and is private, log in: " + login
	case e.Status == http.StatusNotFound:
		return "list the tags that exist: crane ls " + e.Repository.String()
	case e.Status == http.StatusTooManyRequests && e.User == "":
		return "wait, or log in where that raises the limit: " + login
	case e.Status == 0:
		return "check the registry's name and the network; a kernel that has been pulled is found without it"
	}
	return ""
}

// explain makes an error of the libraries' one that speaks to the user. The URL
// of the request is left out: those of blobs hold secrets.
func (s *source) explain(err error) error {
	e := &Error{Repository: s.name, User: s.user, Cause: err}
	var said *transport.Error
	var wait *WaitError
	var request *url.Error
	var timeout net.Error
	switch {
	case errors.As(err, new(*Error)):
		return err
	case errors.As(err, &said):
		e.Status, e.Cause = said.StatusCode, &answer{said}
	case errors.As(err, &wait):
		e.Status, e.Cause = wait.Status, wait
	case errors.As(err, &timeout) && timeout.Timeout() && strings.Contains(err.Error(), "awaiting response headers"):
		e.Cause = &silenceError{s.client.silence()}
	case errors.As(err, &request):
		e.Cause = request.Err
	}
	return e
}

// answer is what a registry said, in one line.
type answer struct{ said *transport.Error }

func (a *answer) Error() string {
	text := status(a.said.StatusCode)
	for _, d := range a.said.Errors {
		if d.Message != "" {
			text += ": " + d.Message
			break
		}
	}
	return strings.Join(strings.Fields(text), " ")
}

func (a *answer) Unwrap() error { return a.said }
