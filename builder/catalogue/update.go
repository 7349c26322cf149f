package catalogue

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kernelorg"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// A Site knows kernel.org's releases, as [kernelorg.Site] does.
type Site interface {
	Releases(context.Context) (*kernelorg.Index, error)
	Checksum(context.Context, kver.Version) (string, error)
	Digest(context.Context, kver.Version) (string, error)
}

// An Update is what kernel.org's releases make of a catalogue.
type Update struct {
	Name     string // of the file
	Old, New []byte
	// Notices are for people: what is out of support, and what was done
	// beyond moving to a newer release.
	Notices []string
}

// Changed reports whether the catalogue is to be written.
func (u *Update) Changed() bool { return !bytes.Equal(u.Old, u.New) }

// Diff is a unified diff, and empty where nothing has changed.
func (u *Update) Diff() []byte { return diff.Diff("a/"+u.Name, u.Old, "b/"+u.Name, u.New) }

// Follow finds out what has to change in a catalogue: kernels from kernel.org
// move to the last release of their series and get its checksum, and the
// channels that the catalogue has move to where kernel.org's are. A series that
// a channel moves to and that is not there becomes a kernel from kernel.org.
// Nothing is ever dropped.
func Follow(ctx context.Context, site Site, c *Catalogue) (*Update, error) {
	u := &update{Update: Update{Name: c.name, Old: c.text}, Catalogue: c, site: site}
	var err error
	if u.document, err = parseDocument(u.Old); err != nil {
		return nil, fmt.Errorf("read catalogue %q: %w", c.name, err)
	}
	before, err := u.document.text()
	if err != nil {
		return nil, err
	}
	if u.index, err = site.Releases(ctx); err != nil {
		return nil, err
	}
	for i, e := range u.document.entries() {
		if err := u.kernel(ctx, &c.Kernels[i], e); err != nil {
			return nil, err
		}
	}
	if err := u.channels(ctx); err != nil {
		return nil, err
	}
	if u.New, err = u.document.text(); err != nil {
		return nil, err
	}
	if bytes.Equal(u.New, before) {
		u.New = u.Old // also where it is not in our form
	}
	if _, err := parse(c.files, c.name, u.New); err != nil {
		return nil, fmt.Errorf("write catalogue: it would not be one any more: %w", err)
	}
	return &u.Update, nil
}

type update struct {
	Update
	*Catalogue
	document *document
	site     Site
	index    *kernelorg.Index
}

func (u *update) notice(k *Kernel, format string, args ...any) {
	u.Notices = append(u.Notices, fmt.Sprintf("linux %s: ", k.Version)+fmt.Sprintf(format, args...))
}

// kernel brings one entry up to date.
func (u *update) kernel(ctx context.Context, k *Kernel, e entry) error {
	last := u.last(k.Version.Series())
	switch {
	case last == nil:
		u.notice(k, "kernel.org does not list it any more, so it is out of support; it stays as it is")
	case last.EOL:
		u.notice(k, "kernel.org says that it has reached the end of its life; it stays as long as nobody removes it")
	}
	if last == nil {
		return nil
	}
	if k.Origin == Debian {
		if k.Version.Candidates && last.Version.RC == 0 {
			e.set("version", k.Version.Series().String())
			if k.Suite != "" { // which had the candidates
				u.notice(k, "it is released now, so it is no longer taken from %s", k.Suite)
				e.remove("suite")
			}
		}
		return nil
	}
	v := k.Version.Version
	if last.Version.Compare(v) > 0 {
		v = last.Version
		e.set("version", v.String())
	} else if k.SHA256 != "" && v.RC > 0 {
		return nil // pinned, and not to be checked
	}
	sum, err := u.checksum(ctx, v)
	if err != nil {
		return err
	}
	if v == k.Version.Version && k.SHA256 != "" && k.SHA256 != sum {
		u.notice(k, "its checksum was not the one that kernel.org has signed, and is now")
	}
	if sum != k.SHA256 {
		e.set("sha256", sum)
	}
	return nil
}

// checksum is a release's, or a candidate's as it comes.
func (u *update) checksum(ctx context.Context, v kver.Version) (string, error) {
	if v.RC == 0 {
		return u.site.Checksum(ctx, v)
	}
	u.Notices = append(u.Notices, fmt.Sprintf("linux %s: nobody signs release candidates: its checksum is that of what was downloaded just now", v))
	return u.site.Digest(ctx, v)
}

// last is the newest release of a series.
func (u *update) last(series kver.Version) *kernelorg.Release {
	var last *kernelorg.Release
	for i, r := range u.index.Releases {
		if r.Version.Series() == series && (last == nil || r.Version.Compare(last.Version) > 0) {
			last = &u.index.Releases[i]
		}
	}
	return last
}

// channels moves each channel to where kernel.org's is.
func (u *update) channels(ctx context.Context) error {
	kernels, entries := u.Kernels, u.document.entries()
	after := make([][]string, len(kernels))
	for _, channel := range Channels { // in their order
		from := slices.IndexFunc(kernels, func(k Kernel) bool { return slices.Contains(k.Channels, channel) })
		if from < 0 {
			continue
		}
		at, ok := u.at(channel)
		if !ok {
			after[from] = append(after[from], channel)
			continue
		}
		to := slices.IndexFunc(kernels, func(k Kernel) bool { return k.Version.Series() == at.Series() })
		if to < 0 {
			k, e, err := u.add(ctx, at, entries[from])
			if err != nil {
				return err
			}
			to = len(kernels)
			kernels, entries, after = append(kernels, k), append(entries, e), append(after, nil)
		}
		after[to] = append(after[to], channel)
	}
	for i, k := range kernels {
		if !sameWords(k.Channels, after[i]) {
			entries[i].setList("channels", after[i])
		}
	}
	return nil
}

// at is the version that kernel.org has in a channel. There is no release of
// linux-next, so that is where mainline is.
func (u *update) at(channel string) (kver.Version, bool) {
	if channel == "stable" {
		return u.index.LatestStable, true
	}
	moniker := channel
	if channel == "next" {
		moniker = "mainline"
	}
	var at kver.Version
	for _, r := range u.index.Releases {
		if r.Moniker == moniker && !r.EOL && r.Version.Compare(at) > 0 {
			at = r.Version
		}
	}
	return at, at != kver.Version{}
}

// add makes an entry for a release, before that of the kernel whose channel it
// gets, and built as that is.
func (u *update) add(ctx context.Context, v kver.Version, beside entry) (Kernel, entry, error) {
	k := Kernel{Version: Version{Version: v}, Origin: KernelOrg}
	sum, err := u.checksum(ctx, v)
	if err != nil {
		return k, entry{}, err
	}
	e := beside.like("pahole", "gcc", "arch", "flavours")
	e.set("version", v.String())
	e.set("source", string(KernelOrg))
	e.set("sha256", sum)
	u.document.insert(e, beside)
	u.notice(&k, "it is new here, and built as the kernel below it; see whether that is right")
	return k, e, nil
}

func sameWords(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
