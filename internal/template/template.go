// Package template keeps machines that have booted and wait for their setup:
// saved, under all that made them what they are, for others to start from.
//
// A template is valid for as long as the host is up. So it needs to survive
// nothing, the host's processor is the one it was saved on, and a file is known
// by what only the file system can change.
package template

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpf-vmtest/bpf-vmtest/internal/cache"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

// A Template is a saved machine.
type Template struct {
	machine.Snapshot
	Console string          // file of what the kernel had printed
	Said    json.RawMessage // what the guest had said, as its owner keeps it
}

// The files of a template. The record is written last.
const (
	ramFile     = "ram"
	stateFile   = "state"
	consoleFile = "console"
	recordFile  = "template.json"
)

// at is the template in a directory.
func at(dir string) *Template {
	return &Template{
		Snapshot: machine.Snapshot{RAM: filepath.Join(dir, ramFile), State: filepath.Join(dir, stateFile)},
		Console:  filepath.Join(dir, consoleFile),
	}
}

// record is what a template must be to be used.
type record struct {
	Key                 string
	Said                json.RawMessage
	RAM, State, Console File
	StateSHA256         string
	ReadOnly            bool // the memory, to QEMU
}

// A DamagedError says why a template is not used.
type DamagedError struct {
	Dir string
	Err error
}

func (e *DamagedError) Error() string { return fmt.Sprintf("use template %s: %v", e.Dir, e.Err) }
func (e *DamagedError) Unwrap() error { return e.Err }

// load reads a template. There may be none, which is nil.
func load(dir string, key Key) (*Template, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	var r record
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	t := at(dir)
	if err == nil {
		err = t.check(r, key)
	}
	if err != nil {
		return nil, &DamagedError{dir, err}
	}
	t.Said, t.ReadOnly = r.Said, r.ReadOnly
	return t, nil
}

// check holds what is there against the record. The state is small enough to be
// read; of the memory it is enough that nobody has written to the file, since a
// clone would need as long for reading it as for all else together.
func (t *Template) check(r record, key Key) error {
	if r.Key != key.String() {
		return errors.New("it is another machine's")
	}
	for _, f := range []struct {
		path string
		want File
	}{{t.RAM, r.RAM}, {t.State, r.State}, {t.Console, r.Console}} {
		got, err := Stat(f.path)
		if err != nil {
			return err
		}
		if got != f.want {
			return fmt.Errorf("%s is not the file that was saved", filepath.Base(f.path))
		}
	}
	sum, err := cache.Digest(t.State)
	if err == nil && sum != r.StateSHA256 {
		err = fmt.Errorf("%s has changed", stateFile)
	}
	return err
}

// seal writes the record of a template that is complete.
func (t *Template) seal(key Key) error {
	r := record{Key: key.String(), Said: t.Said, ReadOnly: t.ReadOnly}
	var err error
	if r.StateSHA256, err = cache.Digest(t.State); err != nil {
		return err
	}
	for path, f := range map[string]*File{t.RAM: &r.RAM, t.State: &r.State, t.Console: &r.Console} {
		if *f, err = Stat(path); err != nil {
			return err
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(t.RAM), recordFile), b, 0o600)
}

// Find returns the template of a key, or nil if there is none. One that is not
// what was saved is a [*DamagedError].
func (s Store) Find(key Key) (*Template, error) {
	for _, p := range s.places() {
		entry := p.entry(key)
		if _, err := os.Lstat(entry); err != nil {
			continue
		}
		if err := cache.Hold(entry); err != nil {
			return nil, err
		}
		if t, err := load(entry, key); t != nil || err != nil {
			return t, err
		}
	}
	return nil, nil
}

func (p place) entry(key Key) string { return filepath.Join(p.dir, key.name()) }

// Make returns the template of a key and makes it if nobody else has meanwhile:
// save leaves the snapshot and the console in the template's files, which do
// not exist yet, and sets what was Said. The memory of the machine, in MiB, decides
// on the place. Waiting is called when another process is making the template.
func (s Store) Make(ctx context.Context, key Key, memoryMiB int, waiting func(), save func(*Template) error) (*Template, error) {
	p, err := s.choose(memoryMiB)
	if err != nil {
		return nil, err
	}
	entry := p.entry(key)
	if err := cache.Hold(entry); err != nil {
		return nil, err
	}
	unlock, err := cache.Lock(ctx, entry+".lock", waiting)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if t, err := load(entry, key); t != nil && err == nil {
		return t, nil
	}
	// What is damaged, and what killed processes left.
	left, _ := filepath.Glob(entry + ".new-*")
	for _, path := range append(left, entry) {
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("remove a broken template: %w", err)
		}
	}
	p.prune(ctx, key)
	if err := p.fill(key, entry, save); err != nil {
		return nil, err
	}
	return load(entry, key)
}

// fill makes an entry, which appears when it is complete.
func (p place) fill(key Key, entry string, save func(*Template) error) error {
	dir, err := os.MkdirTemp(p.dir, key.name()+".new-")
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	defer os.RemoveAll(dir) // nothing is there after the rename
	t := at(dir)
	if err := save(t); err != nil {
		if free(dir) < fullBelow { // QEMU only says that it was killed
			err = fmt.Errorf("%s is full: %w", p.dir, err)
		}
		return err
	}
	if err = punch(t.RAM); err == nil {
		err = t.seal(key)
	}
	if err == nil {
		err = os.Rename(dir, entry)
	}
	if err != nil {
		return fmt.Errorf("make a template: %w", err)
	}
	return nil
}

// fullBelow is the room, in bytes, with which a file system was too small for a
// machine that is being saved: it needs more than this for its devices alone.
const fullBelow = 1 << 18

// Discard removes a template that turned out not to work.
func (s Store) Discard(key Key) {
	for _, p := range s.places() {
		_ = os.RemoveAll(p.entry(key))
	}
}

// prune removes templates of the host's earlier lives, and those used longest
// ago as far as the limit asks for it. What cannot be removed is left to the
// next time.
func (p place) prune(ctx context.Context, key Key) {
	root := filepath.Dir(p.dir)
	current := func(e cache.Entry) bool { return e.Area != area || strings.HasPrefix(e.Name, key.host()) }
	_, _ = cache.Prune(ctx, root, cache.Pruning{Keep: current})
	if p.limit > 0 {
		_, _ = cache.Prune(ctx, root, cache.Pruning{Size: p.limit})
	}
}

// A Key is everything that makes a machine what it is.
type Key struct {
	bootID string
	h      [sha256.Size]byte
}

// KeyOf is the key of a machine on this host, as it is up now. The description
// must name all that a machine saved under it depends on, but the host itself.
func KeyOf(description any) (Key, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Key{}, err
	}
	b, err := json.Marshal(struct {
		Format      int
		BootID      string
		Description any
	}{format, string(id), description})
	if err != nil {
		return Key{}, err
	}
	return Key{bootID: string(id), h: sha256.Sum256(b)}, nil
}

// format is raised when templates of older programs must not be used.
const format = 2

func (k Key) String() string { return hex.EncodeToString(k.h[:]) }

// host is what the names of all templates of this life of the host begin with.
func (k Key) host() string {
	sum := sha256.Sum256([]byte(k.bootID))
	return hex.EncodeToString(sum[:4]) + "-"
}

func (k Key) name() string { return k.host() + k.String()[:32] }
