package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bpf-vmtest/bpf-vmtest/internal/artifact"
	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
	"github.com/bpf-vmtest/bpf-vmtest/internal/registry"
)

// Tags say which tags a release gets.
type Tags struct {
	// Date is that of the tag of this one build: YYYYMMDD. When there is
	// another build of that day, .1, .2 and so on follow. Written with one
	// of these, it is taken as it is.
	Date string
	// Channels are moved to the release, such as stable.
	Channels []string
	// Exact, when there are any, are all tags that the release gets. They
	// may lead back to an older version, which the others do not.
	Exact []string
}

// A Move is a tag and what it names, before and afterwards.
type Move struct {
	Tag      string
	From, To v1.Hash // From is zero for a tag that is new

	before document
}

// Stays reports whether the tag names the release already.
func (m Move) Stays() bool { return m.From == m.To }

// String is "6.12: sha256:… → sha256:…".
func (m Move) String() string {
	switch {
	case m.Stays():
		return fmt.Sprintf("%s: %s, as before", m.Tag, m.To)
	case m.From == v1.Hash{}:
		return fmt.Sprintf("%s: new → %s", m.Tag, m.To)
	}
	return fmt.Sprintf("%s: %s → %s", m.Tag, m.From, m.To)
}

// Plan finds out what Tag would do, in that order. It is an *[Error] if a tag
// may not be moved.
func (r *Repository) Plan(ctx context.Context, release *Release, tags Tags) ([]Move, error) {
	if len(tags.Exact) > 0 {
		return r.planExact(ctx, release, tags.Exact)
	}
	named := artifact.Name{Version: release.Version, Flavour: release.Flavour, Date: tags.Date, Channels: tags.Channels}
	if err := r.findDate(ctx, release, &named); err != nil {
		return nil, err
	}
	var moves []Move
	for _, tag := range named.Tags() {
		m, err := r.plan(ctx, release, tag)
		if err == nil {
			err = forward(release, m)
		}
		if err != nil {
			return nil, err
		}
		moves = append(moves, m)
	}
	return moves, nil
}

func (r *Repository) planExact(ctx context.Context, release *Release, tags []string) ([]Move, error) {
	var moves []Move
	for _, tag := range tags {
		m, err := r.plan(ctx, release, tag)
		if err != nil {
			return nil, err
		}
		moves = append(moves, m)
	}
	return moves, nil
}

// findDate completes the date: with the first number that no other build has.
func (r *Repository) findDate(ctx context.Context, release *Release, named *artifact.Name) error {
	if named.Date == "" {
		return nil
	}
	if err := artifact.CheckDate(named.Date); err != nil {
		return &Error{Cause: err}
	}
	if strings.Contains(named.Date, ".") {
		return nil
	}
	day := named.Date
	for n := 1; ; n++ {
		_, err := r.plan(ctx, release, named.Tags()[0])
		if !errors.Is(err, errTaken) {
			return err
		}
		named.Date = fmt.Sprintf("%s.%d", day, n)
	}
}

// plan finds out what a tag names now.
func (r *Repository) plan(ctx context.Context, release *Release, tag string) (Move, error) {
	m := Move{Tag: tag, To: release.Index.Digest}
	ref, err := name.NewTag(r.writer.Name.String()+":"+tag, name.StrictValidation)
	if err != nil {
		return m, &Error{Kernel: release.Version.String(), Cause: fmt.Errorf("tag %q: %w", tag, err)}
	}
	now, err := r.writer.Get(ctx, ref)
	var answer *registry.Error
	switch {
	case errors.As(err, &answer) && answer.Missing():
		return m, nil
	case err != nil:
		return m, fmt.Errorf("look up tag %s: %w", tag, err)
	}
	m.From, m.before = now.Digest, document{now.MediaType, now.Manifest}
	if artifact.IsDated(tag) && !m.Stays() {
		return m, &Error{Kernel: release.Version.String(), Cause: fmt.Errorf("tag %s %w: %s, and this is %s", tag, errTaken, m.From, m.To)}
	}
	return m, nil
}

var errTaken = errors.New("is another build's")

// forward refuses to move a tag to an older version than it names.
func forward(release *Release, m Move) error {
	var index struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(m.before.content, &index) != nil {
		return nil // it was no index of ours
	}
	version, err := kver.FromRelease(index.Annotations["org.opencontainers.image.version"])
	if err != nil || version.Compare(release.Version) <= 0 {
		return nil
	}
	return &Error{
		Kernel: release.Version.String(), Cause: fmt.Errorf("tag %s names %s, which is newer", m.Tag, version),
		hint: "-tag names the tags that this version is to have instead",
	}
}

// Tag gives the release, which is in the registry, its tags, and returns what
// it did. Either all tags are moved or none is, as far as the registry allows:
// when one fails, those before it are put back, and only new tags, which
// nobody had yet, remain.
func (r *Repository) Tag(ctx context.Context, release *Release, tags Tags) ([]Move, error) {
	moves, err := r.Plan(ctx, release, tags)
	if err != nil {
		return nil, err
	}
	for i, m := range moves {
		if m.Stays() {
			continue
		}
		if err := r.put(ctx, r.tag(m.Tag), release.document()); err != nil {
			moved := moves[:i+1] // an answer that did not come may have been yes
			var refused *registry.Error
			if errors.As(err, &refused) && refused.Final() {
				moved = moves[:i]
			}
			return nil, errors.Join(fmt.Errorf("move tag %s: %w", m.Tag, err), r.putBack(ctx, moved))
		}
	}
	return moves, nil
}

// putBack undoes moves, also when the user has interrupted them.
func (r *Repository) putBack(ctx context.Context, moves []Move) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	for _, m := range slices.Backward(moves) {
		if m.Stays() || m.From == (v1.Hash{}) {
			continue
		}
		if err := r.put(ctx, r.tag(m.Tag), m.before); err != nil {
			errs = append(errs, fmt.Errorf("put tag %s back to %s: %w", m.Tag, m.From, err))
		}
	}
	return errors.Join(errs...)
}
