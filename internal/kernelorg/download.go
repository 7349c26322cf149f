package kernelorg

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

const (
	// attempts is how often a request is sent in vain, at most.
	attempts = 5
	// A connection that brings this much has not failed, only been short.
	worthwhile = 1 << 20
)

// read gives a small file whole.
func (s *Site) read(ctx context.Context, url string, limit int64) ([]byte, error) {
	var b bytes.Buffer
	err := s.persist(ctx, func() (int64, error) {
		b.Reset()
		resp, err := s.get(ctx, url, 0)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		n, err := io.Copy(&b, io.LimitReader(resp.Body, limit+1))
		if err == nil && n > limit {
			return 0, final{fmt.Errorf("fetch %q: it is larger than %d MiB", url, limit>>20)}
		}
		return 0, truncated(err, url, n, resp.ContentLength)
	})
	return b.Bytes(), err
}

// download completes a file that may hold the beginning of what the URL names.
// On an error it keeps what has arrived.
func (s *Site) download(ctx context.Context, url, path, what string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = s.persist(ctx, func() (int64, error) { return s.append(ctx, url, f, what) })
	return errors.Join(err, f.Close())
}

// append asks for the rest of a file and returns how much of it arrived.
func (s *Site) append(ctx context.Context, url string, f *os.File, what string) (int64, error) {
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, final{err}
	}
	resp, err := s.get(ctx, url, have)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusRequestedRangeNotSatisfiable: // there is no more
		return 0, nil
	case http.StatusOK: // from the beginning
		if have, err = 0, f.Truncate(0); err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			return 0, final{err}
		}
	}
	total := int64(0)
	if resp.ContentLength > 0 {
		total = have + resp.ContentLength
	}
	w := &counter{w: f, done: have, total: total, report: func(done int64) {
		if s.Progress != nil {
			s.Progress(Progress{What: what, Done: done, Total: total})
		}
	}}
	n, err := io.Copy(w, resp.Body)
	if w.err != nil {
		return n, final{w.err} // the disk's, not the network's
	}
	return n, truncated(err, url, have+n, total)
}

// get sends a request for what follows the first bytes of a file.
func (s *Site) get(ctx context.Context, url string, after int64) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		cancel(nil)
		return nil, final{err}
	}
	// A server that is silent is given up.
	silence := cmp.Or(s.silence, time.Minute)
	timer := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the server has said nothing for %v", silence)) })
	req.Header.Set("User-Agent", "bpf-vmtest")
	if after > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", after))
	}
	resp, err := s.client().Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		timer.Stop()
		cancel(nil)
		return nil, unreachable(url, err)
	}
	resp.Body = &watched{resp.Body, timer, silence, ctx, cancel}
	ok := resp.StatusCode == http.StatusOK ||
		after > 0 && (resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable)
	if ok {
		return resp, nil
	}
	resp.Body.Close()
	status := &StatusError{URL: url, Status: resp.StatusCode}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500 {
		return nil, &overloaded{status, retryAfter(resp)}
	}
	return nil, final{status}
}

// watched is a body whose sender may not be silent for long.
type watched struct {
	io.ReadCloser
	timer   *time.Timer
	silence time.Duration
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.silence)
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF && w.ctx.Err() != nil {
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// counter tells how much has been written, ten times a second at most.
type counter struct {
	w           io.Writer
	done, total int64
	report      func(done int64)
	shown       time.Time
	err         error // of w
}

func (c *counter) Write(p []byte) (n int, err error) {
	n, err = c.w.Write(p)
	c.done, c.err = c.done+int64(n), err
	if now := time.Now(); now.Sub(c.shown) > 100*time.Millisecond || c.done == c.total {
		c.shown = now
		c.report(c.done)
	}
	return n, err
}

func truncated(err error, url string, got, want int64) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &TruncatedError{URL: url, Got: got, Want: want}
	}
	if err != nil {
		return unreachable(url, err)
	}
	return nil
}

func unreachable(address string, err error) error {
	var e *url.Error // names the address as well
	if errors.As(err, &e) {
		err = e.Err
	}
	return &UnreachableError{URL: address, Cause: err}
}

// final is an error that trying again does not mend.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// overloaded is a server that may be asked again after some time.
type overloaded struct {
	error
	after time.Duration
}

func (e *overloaded) Unwrap() error { return e.error }

// The longest that a server may make us wait.
const patience = time.Minute

func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, patience)
}

// persist tries again while that may help. try returns how many bytes it
// brought.
func (s *Site) persist(ctx context.Context, try func() (int64, error)) error {
	pause := cmp.Or(s.pause, time.Second)
	for attempt := 1; ; attempt++ {
		n, err := try()
		if err == nil {
			return nil
		}
		var end final
		if errors.As(err, &end) {
			return end.error
		}
		if n >= worthwhile {
			attempt = 1
		}
		var busy *overloaded
		wait := pause << (attempt - 1)
		if errors.As(err, &busy) {
			wait, err = max(wait, busy.after), busy.error
		}
		if attempt == attempts {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
