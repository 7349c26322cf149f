package guest

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
)

// Fetch copies a file or a directory's regular files from the guest to a
// directory of the host, under the name it has there.
func (g *Guest) Fetch(ctx context.Context, path, dir string) error {
	_, err := g.fetch(ctx, wire.FetchMsg{Path: path, Bytes: maxFetch}, func(r io.Reader) error {
		return unpack(io.LimitReader(r, maxFetch+slack), dir)
	})
	return err
}

const (
	// maxFetch is for files that are the only ones: a coverage profile, a
	// configuration.
	maxFetch = 1 << 30
	// slack is what a stream may have beyond the files' contents.
	slack = 64 << 20
)

// FetchFile copies a file of at most max bytes from the guest to path to, where
// nothing is yet. A [*RemoteError] says that the guest has no such file, or a
// larger one.
func (g *Guest) FetchFile(ctx context.Context, path, to string, max int64) error {
	got := false
	fetched, err := g.fetch(ctx, wire.FetchMsg{Path: path, Bytes: max, Files: 1}, func(r io.Reader) error {
		return eachFile(r, func(h *tar.Header, r io.Reader) error {
			if got || h.Size > max {
				return fmt.Errorf("more came than was asked for: %q of %d bytes", h.Name, h.Size)
			}
			got = true
			return writeFile(to, r)
		})
	})
	if err == nil && !got {
		return &RemoteError{fmt.Sprintf("fetch %s from the guest: %q", path, fetched.Left)}
	}
	return err
}

// writeFile writes a file that appears when it is whole.
func writeFile(to string, r io.Reader) error {
	f, err := os.OpenFile(to+".partial", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), to)
}

// A RemoteError is what the guest says of a file that it cannot send.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// Limits bound what is taken of a guest.
type Limits struct {
	Bytes int64 // of all files together
	Files int
}

// Collected is what came of a guest's directory.
type Collected struct {
	Files []string // their names on the host, relative to the directory
	Bytes int64
	// Left names files that were not taken, each with the reason. More counts
	// those beyond what is named.
	Left []string
	More int
}

// Collect copies what a guest's directory holds into a new directory of the
// host, which is made when there is something to copy. Only regular files are
// taken, under names that every file system, and those who keep CI's artifacts,
// accept; see [LocalName]. What exceeds the limits is left out and named; what has
// come is removed from the guest. With an error, too, what has come is there.
func (g *Guest) Collect(ctx context.Context, path, dir string, l Limits) (Collected, error) {
	c := collector{dir: dir, limits: l}
	fetched, err := g.fetch(ctx, wire.FetchMsg{Path: path, Bytes: l.Bytes, Files: l.Files, Remove: true}, c.collect)
	named := fetched.Left[:min(len(fetched.Left), wire.LeftNames)]
	for _, left := range named {
		c.Left = append(c.Left, said(left))
	}
	c.More = max(0, fetched.More) + len(fetched.Left) - len(named)
	return c.Collected, err
}

// fetch hands the stream to take, which need not read all of it. A stream that
// goes on beyond the bytes of the message, or does not go on, is none of our init's:
// nothing more is to be had of that guest.
func (g *Guest) fetch(ctx context.Context, m wire.FetchMsg, take func(io.Reader) error) (wire.FetchedMsg, error) {
	if err := g.trusted(); err != nil {
		return wire.FetchedMsg{}, fmt.Errorf("fetch %s from the guest: %w", m.Path, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var came atomic.Int64
	r, w := io.Pipe()
	p := &process{stdout: &counter{w, &came}, stderr: io.Discard}
	id := g.register(p)
	defer g.forget(id)

	var taken sync.WaitGroup
	var takeErr error
	flooded := make(chan struct{})
	taken.Go(func() {
		takeErr = take(r)
		// The guest must not be left blocked.
		if n, _ := io.CopyN(io.Discard, r, m.Bytes+slack); n == m.Bytes+slack {
			close(flooded)
		}
		r.Close()
	})
	err := g.conn.SendMsg(wire.Fetch, id, &m)
	if err == nil {
		select {
		case <-p.done:
		case <-g.gone:
			err = g.lost("while " + m.Path + " was being fetched")
		case <-flooded:
			err = g.distrust("it sends more than was asked for")
		case <-g.tooSlow(ctx, p, &came):
			err = g.distrust("it does not send what was asked for")
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	w.Close()
	taken.Wait()
	if err == nil && p.fetched.Error != "" {
		err = &RemoteError{said(p.fetched.Error)}
	}
	if err == nil {
		err = takeErr
	}
	if err != nil {
		return wire.FetchedMsg{}, fmt.Errorf("fetch %s from the guest: %w", m.Path, err)
	}
	return p.fetched, nil
}

// distrust notes why nothing is fetched from the guest any more.
func (g *Guest) distrust(why string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoilt = errors.New(why)
	return g.spoilt
}

func (g *Guest) trusted() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spoilt
}

// leastRate is what a guest sends of files on a busy host, and much more, in bytes per
// second: without KVM it is 20 MB on an idle one.
const leastRate = 1 << 20

// tooSlow is closed when a guest has been asked for something for longer than a guest
// may be silent, which one that talks of other things is not.
func (g *Guest) tooSlow(ctx context.Context, p *process, came *atomic.Int64) <-chan struct{} {
	slow := make(chan struct{})
	if g.silence <= 0 {
		return slow
	}
	patience := g.machine.Patience(g.silence)
	left := func() time.Duration {
		return patience.Left() + time.Duration(came.Load())*time.Second/leastRate
	}
	go func() {
		for l := left(); l > 0; l = left() {
			select {
			case <-p.done:
				return
			case <-g.gone:
				return
			case <-ctx.Done():
				return
			case <-time.After(l):
			}
		}
		close(slow)
	}()
	return slow
}

// A counter counts what it passes on.
type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.Writer.Write(b)
}

// unpack writes the regular files of a tar stream below dir. The stream is a
// guest's: names that lead out of dir are errors, by way of os.Root.
func unpack(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return eachFile(r, func(h *tar.Header, r io.Reader) error {
		name := strings.TrimPrefix(h.Name, "./")
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := root.Create(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	})
}

// eachFile calls do with each file of a tar stream, which may hold nothing but
// regular files.
func eachFile(r io.Reader, do func(*tar.Header, io.Reader) error) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%q is not a regular file", h.Name)
		}
		if err := do(h, tr); err != nil {
			return err
		}
	}
}

// A collector writes what a guest sends. Its init keeps to the limits: more than
// that is an error, for then it is not our init any more that sends.
type collector struct {
	dir    string
	limits Limits
	root   *os.Root // nil until there is a file
	Collected
}

func (c *collector) collect(r io.Reader) (err error) {
	defer func() {
		if c.root != nil {
			err = errors.Join(err, c.root.Close())
		}
	}()
	return eachFile(r, c.file)
}

func (c *collector) file(h *tar.Header, r io.Reader) error {
	if len(c.Files)+len(c.Left) == c.limits.Files || h.Size > c.limits.Bytes-c.Bytes {
		return fmt.Errorf("more came than was asked for: %q of %d bytes", h.Name, h.Size)
	}
	_, below, _ := strings.Cut(h.Name, "/") // without the directory's own name
	name, ok := LocalName(below)
	if !ok {
		c.Left = append(c.Left, said(h.Name)+": its name cannot be had here")
		return nil
	}
	if c.root == nil {
		err := os.MkdirAll(filepath.Dir(c.dir), 0o755)
		if err == nil {
			err = os.Mkdir(c.dir, 0o755)
		}
		if err != nil {
			return err
		}
		if c.root, err = os.OpenRoot(c.dir); err != nil {
			return err
		}
	}
	f, name, err := c.create(name)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil { // half a file looks like a whole one
		return errors.Join(err, c.root.Remove(name))
	}
	c.Bytes += n
	c.Files = append(c.Files, name)
	return nil
}

// create makes a file. Names that differ in the guest may be the same here: the
// later ones get numbers.
func (c *collector) create(name string) (*os.File, string, error) {
	for n := 1; ; n++ {
		free := name
		if n > 1 {
			free = fmt.Sprintf("%s.%d", name, n)
		}
		err := c.root.MkdirAll(filepath.Dir(free), 0o755)
		if err != nil && n == 1 { // a file has the name of the directory
			name = strings.ReplaceAll(name, "/", "_")
			continue
		}
		if err != nil {
			return nil, "", err
		}
		f, err := c.root.OpenFile(free, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		return f, free, err
	}
}

// What a name may come to, in bytes and directories.
const (
	maxName  = 250 // between two slashes; most file systems take 255
	maxPath  = 4096
	maxDepth = 64
)

// LocalName is what a file of a guest's is called on the host: what GitHub's
// artifacts or other file systems do not take, and what a terminal obeys, is
// replaced by _. It reports false for what is not the name of a file below a
// directory. A name with nothing to replace stays as it is.
func LocalName(name string) (local string, ok bool) {
	if !filepath.IsLocal(name) || name != filepath.Clean(name) || name == "." ||
		len(name) > maxPath || strings.Count(name, "/") >= maxDepth {
		return "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName {
			return "", false
		}
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`"<>|:*?\`, r) {
			return '_'
		}
		return r
	}, printable(name)), true
}

// said is what a guest's init says, or somebody in its name: a line of some length.
func said(s string) string {
	const enough = 1000
	if len(s) > enough {
		s = s[:enough] + "…"
	}
	return printable(s)
}

// printable is a guest's text in a line that does nothing to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}
