package guest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bpf-vmtest/bpf-vmtest/initramfs/wire"
	"github.com/bpf-vmtest/bpf-vmtest/internal/machine"
)

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name   string
		shares []Share
		want   []Share
	}{
		{"none", nil, nil},
		{
			"parents first",
			[]Share{{Path: "/b/c/d", Target: "/x/y"}, {Path: "/a", Target: "/x"}},
			[]Share{{Path: "/a", Target: "/x"}, {Path: "/b/c/d", Target: "/x/y"}},
		},
		{
			"one that another holds",
			[]Share{{Path: "/usr/local/go"}, {Path: "/usr"}, {Path: "/usr/lib"}},
			[]Share{{Path: "/usr"}},
		},
		{
			"the same twice",
			[]Share{{Path: "/a"}, {Path: "/a"}, {Path: "/a", Target: "/a"}},
			[]Share{{Path: "/a"}},
		},
		{
			"names that only begin alike",
			[]Share{{Path: "/a"}, {Path: "/a-b"}, {Path: "/a/c"}, {Path: "/ab"}},
			[]Share{{Path: "/a"}, {Path: "/a-b"}, {Path: "/ab"}},
		},
		{
			"another directory below a share, and a part of it below that",
			[]Share{{Path: "/a"}, {Path: "/other", Target: "/a/b"}, {Path: "/a/b/c"}, {Path: "/other/d", Target: "/a/b/d"}},
			[]Share{{Path: "/a"}, {Path: "/other", Target: "/a/b"}, {Path: "/a/b/c"}},
		},
		{
			"two for one place: the later lies on top",
			[]Share{{Path: "/a", Target: "/x"}, {Path: "/b", Target: "/x"}},
			[]Share{{Path: "/a", Target: "/x"}, {Path: "/b", Target: "/x"}},
		},
		{
			"all of the disk",
			[]Share{{Path: "/usr"}, {Path: "/"}, {Path: "/home/me"}},
			[]Share{{Path: "/"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := Layout{Shares: tt.shares, Modules: "/lib/modules/1"}
			if diff := cmp.Diff(tt.want, l.shares()); diff != "" {
				t.Errorf("shares (-want +got):\n%s", diff)
			}
			checkMounts(t, l)
		})
	}
}

// checkMounts checks that every 9p mount finds its export, and that every
// overlay lies over a mount and in directories made before.
func checkMounts(t *testing.T, l Layout) {
	t.Helper()
	exported := map[string]machine.Share{}
	for _, s := range l.machineShares() {
		if len(s.Tag) > 31 {
			t.Errorf("the tag %q is too long for virtio", s.Tag)
		}
		if _, ok := exported[s.Tag]; ok {
			t.Errorf("the tag %q is given twice", s.Tag)
		}
		exported[s.Tag] = s
	}
	made := map[string]bool{}
	overlays := 0
	for _, s := range append(l.Prepared("6.12.1"), l.steps("6.12.1")...) {
		switch {
		case s.Mkdir != nil:
			made[s.Mkdir.Path] = true
		case s.Mount != nil && s.Mount.Type == "9p":
			if _, ok := exported[s.Mount.Source]; !ok {
				t.Errorf("nothing is exported as %q", s.Mount.Source)
			}
			made[s.Mount.Target] = true
		case s.Mount != nil && s.Mount.Type == "overlay":
			overlays++
			for o := range strings.SplitSeq(s.Mount.Data, ",") {
				if _, dir, _ := strings.Cut(o, "="); !made[dir] {
					t.Errorf("overlay on %s: %s is not there yet", s.Mount.Target, o)
				}
			}
		}
	}
	if overlays != len(exported) {
		t.Errorf("%d overlays on %d shares", overlays, len(exported))
	}
}

func TestSteps(t *testing.T) {
	l := Layout{
		Hostname: "vmtest", Shares: []Share{{Path: "/usr"}}, Modules: "/m",
		Links: []wire.Symlink{{Path: "/lib", Target: "usr/lib"}},
		Files: []wire.Write{{Path: "/etc/hosts", Data: []byte("x")}},
	}
	steps := append(l.Prepared("6.12.1"), l.steps("6.12.1")...)
	for i, s := range steps {
		n := 0
		for _, set := range []bool{s.Mkdir != nil, s.Mount != nil, s.Symlink != nil, s.Write != nil} {
			if set {
				n++
			}
		}
		if n != 1 {
			t.Errorf("step %d does %d things", i, n)
		}
	}
	link := slices.IndexFunc(steps, func(s wire.Step) bool { return s.Symlink != nil && s.Symlink.Path == "/lib" })
	modules := slices.IndexFunc(steps, func(s wire.Step) bool { return s.Mount != nil && s.Mount.Target == "/usr/lib/modules/6.12.1" })
	if link < 0 || modules < link {
		t.Errorf("the modules are mounted at step %d, /lib is made at %d", modules, link)
	}
	before := slices.IndexFunc(steps, func(s wire.Step) bool {
		return s.Mkdir != nil && strings.HasSuffix(s.Mkdir.Path, "/upper/lib/modules/6.12.1")
	})
	usr := slices.IndexFunc(steps, func(s wire.Step) bool { return s.Mount != nil && s.Mount.Target == "/usr" })
	if before < 0 || usr < before {
		t.Errorf("/usr is mounted at step %d, the modules' directory in what lies over it is made at %d", usr, before)
	}
	// Not every kernel has these.
	for _, s := range steps {
		if s.Mount != nil && slices.Contains([]string{"cgroup2", "bpf", "tracefs", "debugfs", "securityfs"}, s.Mount.Type) && !s.Optional {
			t.Errorf("%s is not optional", s.Mount.Type)
		}
	}
}

// TestPrepared: what a machine that is saved has done depends on nothing that
// differs between those that are started from it.
func TestPrepared(t *testing.T) {
	for _, l := range []Layout{
		{Config: []byte("CONFIG_BPF=y\n"), Shares: []Share{{Path: "/usr"}}, Modules: "/m", Hostname: "vmtest"},
		{Config: []byte("CONFIG_BPF=y\n"), Shares: []Share{{Path: "/"}}},
		{Config: []byte("CONFIG_BPF=y\n"), Shares: []Share{{Path: "/data", Target: "/boot"}}},
	} {
		prepared := l.Prepared("6.12.1")
		if diff := cmp.Diff(prepared, l.Bare().Prepared("6.12.1")); diff != "" {
			t.Errorf("%v: bare (-want +got):\n%s", l.Shares, diff)
		}
		written := -1
		for i, s := range append(prepared, l.steps("6.12.1")...) {
			switch {
			case i < len(prepared) && s.Mount != nil && s.Mount.Type == "9p":
				t.Errorf("%v: %s is mounted before the machine is saved", l.Shares, s.Mount.Source)
			case s.Write != nil && s.Write.Path == "/boot/config-6.12.1":
				written = i
			case s.Mount != nil && s.Mount.Type == "overlay" && (s.Mount.Target == "/boot" || s.Mount.Target == "/") && written >= 0:
				t.Errorf("%v: the configuration is hidden by a share", l.Shares)
			}
		}
		if written < 0 {
			t.Errorf("%v: no configuration", l.Shares)
		}
	}
}

// TestPreparedFiles: files and links are made before the machine is saved, unless
// a share would hide them, or needs their place for a directory, or they are
// its own.
func TestPreparedFiles(t *testing.T) {
	system := Layout{
		Links: []wire.Symlink{{Path: "/lib", Target: "usr/lib"}, {Path: "/etc/mtab", Target: "/proc/self/mounts"}},
		Files: []wire.Write{{Path: "/etc/passwd"}, {Path: "/srv/note"}},
		Own:   []wire.Write{{Path: "/etc/hostname"}},
	}
	for _, tt := range []struct {
		target string
		want   []string // what is prepared of it
	}{
		{"/usr", []string{"/lib", "/etc/mtab", "/etc/passwd", "/srv/note"}},
		{"/etc", []string{"/lib", "/srv/note"}},
		{"/lib/here", []string{"/etc/mtab", "/etc/passwd", "/srv/note"}},
		{"/srv/note", []string{"/lib", "/etc/mtab", "/etc/passwd"}},
		{"/srv/notes", []string{"/lib", "/etc/mtab", "/etc/passwd", "/srv/note"}},
		{"/", nil},
	} {
		l := system
		l.Shares = []Share{{Path: "/data", Target: tt.target}}
		made := func(steps []wire.Step) (paths []string) {
			for _, s := range steps {
				if s.Symlink != nil && !strings.HasPrefix(s.Symlink.Path, "/dev/") {
					paths = append(paths, s.Symlink.Path)
				} else if s.Write != nil {
					paths = append(paths, s.Write.Path)
				}
			}
			return paths
		}
		prepared := made(l.Prepared("6.12.1"))
		if diff := cmp.Diff(tt.want, prepared); diff != "" {
			t.Errorf("a share at %s: prepared (-want +got):\n%s", tt.target, diff)
		}
		all := append(prepared, made(l.steps("6.12.1"))...)
		slices.Sort(all)
		if diff := cmp.Diff([]string{"/etc/hostname", "/etc/mtab", "/etc/passwd", "/lib", "/srv/note"}, all); diff != "" {
			t.Errorf("a share at %s: made at all (-want +got):\n%s", tt.target, diff)
		}
		if diff := cmp.Diff(l.Prepared("6.12.1"), l.Bare().Prepared("6.12.1")); diff != "" {
			t.Errorf("a share at %s: bare (-want +got):\n%s", tt.target, diff)
		}
	}
}

func TestLinkerDirs(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"one", "two", "conf.d"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("conf.d/a.conf", "# a comment\n"+dir+"/one # another\n\nrelative/is/ignored\n")
	write("conf.d/b.conf", dir+"/two\n"+dir+"/missing\n")
	conf := write("ld.so.conf", "include conf.d/*.conf\ninclude "+dir+"/ld.so.conf\n")
	if diff := cmp.Diff([]string{dir + "/one", dir + "/two"}, linkerDirs(conf)); diff != "" {
		t.Errorf("linkerDirs (-want +got):\n%s", diff)
	}
	if got := linkerDirs(filepath.Join(dir, "none")); len(got) != 0 {
		t.Errorf("linkerDirs of no file = %v", got)
	}
}
