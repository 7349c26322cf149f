package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hastyKey marks contexts, see [Hasty].
type hastyKey struct{}

// Hasty makes a context in which a registry that cannot be reached is not tried
// again, because there is something else to try. One that answers, but is
// overloaded, still is.
func Hasty(ctx context.Context) context.Context { return context.WithValue(ctx, hastyKey{}, true) }

// persistent sends a request again, after a pause, when the network, the server
// or its limits kept it from being answered.
type persistent struct {
	inner  http.RoundTripper
	client *Client
}

func (p *persistent) RoundTrip(req *http.Request) (*http.Response, error) {
	pause := p.client.pause()
	for attempt := 1; ; attempt++ {
		resp, err := p.inner.RoundTrip(req)
		problem := p.problem(req, resp, err)
		if problem == "" || attempt == attempts || req.Body != nil && req.GetBody == nil {
			return resp, err
		}
		wait, err := p.wait(resp, pause)
		if resp != nil {
			io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection can be used again
			resp.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		// A registry on this machine is asked by HTTPS and HTTP at once.
		if again := fmt.Sprintf("(%d of %d)", attempt+1, attempts); p.client.once(req.URL.Host + problem + again) {
			p.client.warn("registry %s: %s; trying again in %v %s", req.URL.Host, problem, wait.Round(time.Millisecond), again)
		}
		if err := sleep(req.Context(), wait); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
		pause *= 3
	}
}

// problem says why sending the request again may help, or "".
func (p *persistent) problem(req *http.Request, resp *http.Response, err error) string {
	switch {
	case req.Context().Err() != nil:
		return ""
	case err == nil && overloaded(resp.StatusCode):
		return status(resp.StatusCode)
	case err != nil && passing(err) && req.Context().Value(hastyKey{}) == nil:
		return err.Error()
	}
	return ""
}

// overloaded reports whether a status may be another one soon.
func overloaded(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		522: // Cloudflare's name for a timeout
		return true
	}
	return false
}

// status is a status as people know it.
func status(code int) string { return fmt.Sprint(code, " ", http.StatusText(code)) }

// passing reports whether a failure is the network's, so that it may pass. A
// name that does not exist, or a certificate that is not trusted, stays so.
func passing(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return !dns.IsNotFound
	}
	// Those of HTTP/2 have no types that could be asked for.
	if text := err.Error(); strings.HasPrefix(text, "http2: ") || strings.HasPrefix(text, "stream error: ") {
		return true
	}
	var timeout net.Error
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// patience is the longest that a registry may ask us to wait.
const patience = 2 * time.Minute

// wait is how long to wait before the next attempt: what the server asks for,
// or the pause, give or take a tenth, so that many do not come back at once.
func (p *persistent) wait(resp *http.Response, pause time.Duration) (time.Duration, error) {
	asked, ok := retryAfter(resp)
	if !ok {
		return pause + time.Duration((rand.Float64()-0.5)/5*float64(pause)), nil
	}
	if asked > patience {
		return 0, &WaitError{Status: resp.StatusCode, Wait: asked}
	}
	return max(asked, 0), nil
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds, or a date.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp == nil {
		return 0, false
	}
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<30)) * time.Second, true
	}
	if date, err := http.ParseTime(value); err == nil {
		return time.Until(date), true
	}
	return 0, false
}

// A WaitError says that a registry wants to be left alone for longer than
// anyone would wait.
type WaitError struct {
	Status int           // of HTTP
	Wait   time.Duration // from when it was said
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("%s, come back in %v", status(e.Status), e.Wait.Round(time.Second))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
