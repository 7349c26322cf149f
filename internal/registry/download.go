package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Download completes a file that may hold the beginning of a blob. Afterwards
// it holds what the digest says, or there is an error; what has arrived by then
// stays in it, for the next time. Progress is called with the number of bytes
// that are there.
func (r *Repository) Download(ctx context.Context, blob v1.Descriptor, f *os.File, progress func(done int64)) error {
	d := &download{client: r.client, blob: blob, file: f, progress: progress}
	return r.try(ctx, byDigest, d.from)
}

// download is a file on its way.
type download struct {
	client   *Client
	blob     v1.Descriptor
	file     *os.File
	progress func(done int64)

	hash hash.Hash // of what the file holds
	have int64     // bytes
}

// A connection that brings this much before it breaks has not failed, only been
// short.
const worthwhile = 1 << 20

// from reads the blob from the source. A connection that breaks is taken up
// again where it broke.
func (d *download) from(ctx context.Context, s *source) error {
	if err := d.open(); err != nil {
		return err
	}
	resumed := d.have > 0
	pause := d.client.pause()
	for attempt := 1; ; attempt++ {
		before := d.have
		err := d.read(ctx, s)
		if err == nil {
			err = d.check(s)
			if err == nil || !resumed {
				return err
			}
			resumed = false // what was here was not the blob's beginning
			continue
		}
		if d.have-before >= worthwhile {
			attempt, pause = 0, d.client.pause()
		}
		var broken *BrokenError
		hasty := ctx.Value(hastyKey{}) != nil
		if !errors.As(err, &broken) || attempt == attempts || hasty || ctx.Err() != nil {
			return err
		}
		d.client.warn("%v; going on from there in %v", err, pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 3
	}
}

// open reads what the file holds.
func (d *download) open() error {
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d.hash = sha256.New()
	var err error
	d.have, err = io.Copy(d.hash, d.file)
	if err != nil || d.have <= d.blob.Size {
		return err
	}
	return d.restart()
}

func (d *download) restart() error {
	d.hash, d.have = sha256.New(), 0
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	_, err := d.file.Seek(0, io.SeekStart)
	return err
}

// read asks for what the file lacks and appends it.
func (d *download) read(ctx context.Context, s *source) error {
	if d.have == d.blob.Size {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, err := d.request(ctx, s)
	if err != nil {
		return err
	}
	defer body.Close()
	silence := d.client.silence()
	timer := time.AfterFunc(silence, func() { cancel(&silenceError{silence}) })
	defer timer.Stop()
	buffer := make([]byte, 1<<16)
	for d.have < d.blob.Size {
		n, err := body.Read(buffer[:min(int64(len(buffer)), d.blob.Size-d.have)])
		timer.Reset(silence)
		if n > 0 {
			d.hash.Write(buffer[:n])
			if _, err := d.file.Write(buffer[:n]); err != nil {
				return err
			}
			d.have += int64(n)
			d.progress(d.have)
		}
		if err != nil && d.have < d.blob.Size {
			return d.broken(ctx, s, err)
		}
	}
	// One byte more would be another blob.
	if n, _ := body.Read(buffer[:1]); n > 0 {
		return errors.Join(&DigestError{Registry: s.name.RegistryStr()}, d.restart())
	}
	return nil
}

// request begins to read at the end of what the file holds, or at the blob's
// beginning where the server does not know how.
func (d *download) request(ctx context.Context, s *source) (io.ReadCloser, error) {
	url := fmt.Sprintf("%s://%s/v2/%s/blobs/%s", s.name.Scheme(), s.name.RegistryStr(), s.name.RepositoryStr(), d.blob.Digest)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // Go would ask for gzip, and unpack it
	if d.have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	resp, err := s.do(req)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && rangeStart(resp) == d.have:
		return resp.Body, nil
	case resp.StatusCode == http.StatusOK:
		return resp.Body, d.restart()
	case d.have > 0 && (resp.StatusCode == http.StatusPartialContent || resp.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		resp.Body.Close()
		if err := d.restart(); err != nil {
			return nil, err
		}
		return d.request(ctx, s)
	}
	defer resp.Body.Close()
	return nil, s.explain(transport.CheckError(resp))
}

// rangeStart is where the content begins: Content-Range: bytes 100-199/200. It
// is -1 if that is not said.
func rangeStart(resp *http.Response) int64 {
	value, _ := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	first, _, _ := strings.Cut(value, "-")
	start, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return -1
	}
	return start
}

// broken is the error of a connection that ended too early.
func (d *download) broken(ctx context.Context, s *source, err error) error {
	var silent *silenceError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &silent):
		err = cause
	case cause != nil: // the user's
		return cause
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the connection ended")
	}
	return &BrokenError{Registry: s.name.RegistryStr(), Done: d.have, Size: d.blob.Size, Cause: err}
}

// check compares what has arrived with the digest. What differs is of no use to
// anyone.
func (d *download) check(s *source) error {
	got := fmt.Sprintf("%x", d.hash.Sum(nil))
	if got == d.blob.Digest.Hex {
		return nil
	}
	return errors.Join(&DigestError{Registry: s.name.RegistryStr(), Got: "sha256:" + got}, d.restart())
}

// silenceError is a server that has stopped sending.
type silenceError struct{ waited time.Duration }

func (e *silenceError) Error() string { return fmt.Sprintf("nothing came for %v", e.waited) }

// BrokenError is a download that ended too early.
type BrokenError struct {
	Registry   string
	Done, Size int64 // bytes
	Cause      error
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("read from registry %q: %v after %d of %d bytes", e.Registry, e.Cause, e.Done, e.Size)
}

func (e *BrokenError) Unwrap() error { return e.Cause }

// Hint says that nothing is lost.
func (e *BrokenError) Hint() string {
	return "what has arrived is kept: the next attempt goes on from there"
}

// DigestError is content that is not what its digest says.
type DigestError struct {
	Registry string
	Got      string // sha256:…, or empty for content that is longer than it should be
}

func (e *DigestError) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("registry %q sent other content, which is longer", e.Registry)
	}
	return fmt.Sprintf("registry %q sent other content, with the digest %s", e.Registry, e.Got)
}

// Hint says what to make of it.
func (e *DigestError) Hint() string {
	return "it was changed in the registry or on the way; nothing of it is kept"
}
