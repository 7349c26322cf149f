package kernelorg

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bpf-vmtest/bpf-vmtest/internal/kver"
)

// An Index is what kernel.org's front page shows.
type Index struct {
	LatestStable kver.Version
	Releases     []Release // in the page's order, without linux-next
}

// A Release is one line of it.
type Release struct {
	Moniker string // mainline, stable or longterm
	Version kver.Version
	EOL     bool // there will be no other release of this series
}

// indexFile is the part of releases.json that is used here. The file is not
// ours: it may have other fields.
type indexFile struct {
	LatestStable struct{ Version string } `json:"latest_stable"`
	Releases     []struct {
		Moniker, Version string
		IsEOL            bool `json:"iseol"`
	}
}

// Releases reads the release index.
func (s *Site) Releases(ctx context.Context) (*Index, error) {
	url := s.url(webHost, "/releases.json")
	data, err := s.read(ctx, url, 1<<20)
	if err != nil {
		return nil, err
	}
	index, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("read release index %s: %w", url, err)
	}
	return index, nil
}

func parseIndex(data []byte) (*Index, error) {
	var file indexFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var index Index
	var err error
	if index.LatestStable, err = kver.Parse(file.LatestStable.Version); err != nil {
		return nil, fmt.Errorf("latest_stable: %w", err)
	}
	for _, r := range file.Releases {
		switch r.Moniker {
		case "mainline", "stable", "longterm":
		default: // linux-next has a date, and no source
			continue
		}
		v, err := kver.Parse(r.Version)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Moniker, err)
		}
		index.Releases = append(index.Releases, Release{Moniker: r.Moniker, Version: v, EOL: r.IsEOL})
	}
	if len(index.Releases) == 0 {
		return nil, fmt.Errorf("it has no releases")
	}
	return &index, nil
}
