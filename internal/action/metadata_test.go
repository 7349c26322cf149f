package action

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the tables, and the commits of actions, into docs/action.md")

// metadata is action.yml, as far as we use it.
type metadata struct {
	Name, Description, Author string
	Branding                  struct{ Icon, Color string }
	Inputs, Outputs           yaml.Node // mappings, in their order
	Runs                      struct {
		Using string
		Steps []step
	}
}

type step struct {
	ID, If, Shell, Uses, Run, Name string
	Env, With                      map[string]string
	ContinueOnError                any `yaml:"continue-on-error"`
}

type input struct {
	Description string
	Default     string
	Required    bool
}

const root = "../.."

func readMetadata(t *testing.T) metadata {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var m metadata
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// each calls f for each entry of a mapping, in order.
func each[T any](t *testing.T, n yaml.Node, f func(name string, value T)) {
	t.Helper()
	for i := 0; i < len(n.Content); i += 2 {
		var v T
		if err := n.Content[i+1].Decode(&v); err != nil {
			t.Fatal(err)
		}
		f(n.Content[i].Value, v)
	}
}

// TestInputs holds the inputs of action.yml against what reads them: an input
// that is not handed on would be ignored, for a composite action gets none by
// itself.
func TestInputs(t *testing.T) {
	m := readMetadata(t)
	read := map[string]bool{"version": true} // by get.sh
	defaults := map[string]string{}
	each(t, m.Inputs, func(name string, in input) { defaults[name] = in.Default })
	in, err := Read(func(name string) string { read[name] = true; return defaults[name] }, "ghcr.io/o/k")
	if err != nil {
		t.Fatalf("the defaults: %v", err)
	}
	if want := []string{"-accel=auto", "-require-kvm=false", "-cpus=2", "-memory=2048", "-timeout=10m", "-retry=0", "./..."}; !slices.Equal(in.Args, want) {
		t.Errorf("by default it runs vmtest test %q, want %q", in.Args, want)
	}
	var given []string
	each(t, m.Inputs, func(name string, in input) {
		given = append(given, name)
		if !strings.Contains(in.Description, "Example: `") {
			t.Errorf("input %s has no example", name)
		}
		if in.Required {
			t.Errorf("input %s is required, which nobody checks", name)
		}
	})
	if want := slices.Sorted(maps.Keys(read)); !slices.Equal(slices.Sorted(slices.Values(given)), want) {
		t.Errorf("action.yml has the inputs %q, the program reads %q", given, want)
	}
	env := map[string]string{}
	for _, s := range m.Runs.Steps {
		if s.ID == "plan" {
			env = s.Env
		}
	}
	for _, name := range given {
		if name == "version" {
			continue
		}
		variable := "INPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if got, want := env[variable], "${{ inputs."+name+" }}"; got != want {
			t.Errorf("%s is %q, want %q", variable, got, want)
		}
		t.Setenv(variable, " "+name+"\n")
		if got := Input(name); got != name {
			t.Errorf("input %s reads %q", name, got)
		}
	}
}

// TestOutputs holds the outputs of action.yml against those that are set.
func TestOutputs(t *testing.T) {
	m := readMetadata(t)
	out, err := Files{Dir: recorded(t)}.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	set := slices.Sorted(maps.Keys(out))
	var given []string
	each(t, m.Outputs, func(name string, o struct{ Description, Value string }) {
		step := "run"
		if name == "matrix" || name == "kernels" {
			step = "plan"
		} else {
			given = append(given, name)
		}
		if want := "${{ steps." + step + ".outputs." + name + " }}"; o.Value != want || o.Description == "" {
			t.Errorf("output %s is %q, %q, want %q and a description", name, o.Value, o.Description, want)
		}
	})
	slices.Sort(given)
	if !slices.Equal(given, set) {
		t.Errorf("action.yml has the outputs %q, the program sets %q", given, set)
	}
}

var expression = regexp.MustCompile(`\$\{\{.*?\}\}`)

// TestShells makes sure that no text of a workflow's author, or of who opens a
// pull request, becomes part of a script.
func TestShells(t *testing.T) {
	check := func(t *testing.T, s step) {
		if found := expression.FindString(s.Run); found != "" {
			t.Errorf("%s is in a script: %q", found, s.Run)
		}
		if s.Uses != "" && !strings.HasPrefix(s.Uses, "./") && !pinned.MatchString(s.Uses) {
			t.Errorf("%s is not pinned by a commit", s.Uses)
		}
	}
	m := readMetadata(t)
	for _, s := range m.Runs.Steps {
		check(t, s)
		if s.Run != "" && s.Shell != "bash" {
			t.Errorf("step %q has the shell %q", s.Run, s.Shell)
		}
	}
	for name, w := range workflows(t) {
		t.Run(name, func(t *testing.T) {
			for _, job := range w.Jobs {
				for _, s := range job.Steps {
					check(t, s)
				}
			}
		})
	}
}

var pinned = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)+@[0-9a-f]{40}$`)

// TestPins makes sure that beside each commit stands the version it is of, and
// that an action has the same commit everywhere, in the manual too.
func TestPins(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	use := regexp.MustCompile(`(uses: (actions/[\w-]+)[\w/-]*@)(.*)`)
	pin := regexp.MustCompile(`^[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	pins := map[string]string{}
	for _, file := range append(files, filepath.Join(root, "action.yml")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range use.FindAllStringSubmatch(string(text), -1) {
			name, is := m[2], m[3]
			if !pin.MatchString(is) {
				t.Errorf("%s: %s: want a commit, and the version behind it", file, m[0])
			}
			if other := pins[name]; other != "" && other != is {
				t.Errorf("%s: %s is %s, and %s elsewhere", file, name, is, other)
			}
			pins[name] = is
		}
	}
	for _, name := range []string{"docs/action.md", "internal/action/testdata/act/action.yml"} {
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := use.ReplaceAllStringFunc(string(text), func(s string) string {
			m := use.FindStringSubmatch(s)
			return m[1] + cmp.Or(pins[m[2]], m[3])
		})
		switch {
		case want == string(text):
		case *update:
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s: its commits are not those of the workflows; -update writes them", path)
		}
	}
}

type workflow struct {
	Permissions *yaml.Node
	Jobs        map[string]struct {
		Permissions *yaml.Node
		Container   *yaml.Node
		Steps       []step
	}
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(text, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = w
	}
	return all
}

// TestCachesInContainers makes sure that zstd, which images lack and runners have, is
// there before a cache is looked for: one that was saved with it is not found without,
// and a step in between may install it.
func TestCachesInContainers(t *testing.T) {
	for name, w := range workflows(t) {
		for id, job := range w.Jobs {
			zstd := job.Container == nil
			for _, s := range job.Steps {
				zstd = zstd || strings.Contains(s.Run, " zstd")
				caches := strings.HasPrefix(s.Uses, "actions/cache@") || strings.HasPrefix(s.Uses, "actions/setup-go@")
				if caches && !zstd {
					t.Errorf("%s: job %s: zstd is not there before %s", name, id, s.Uses)
				}
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	for name, w := range workflows(t) {
		if w.Permissions == nil {
			t.Errorf("%s has no permissions, and so whatever the repository gives", name)
			continue
		}
		var all map[string]string
		if err := w.Permissions.Decode(&all); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for what, how := range all {
			if how != "read" && how != "none" {
				t.Errorf("%s: all jobs may %s %s", name, how, what)
			}
		}
	}
}

// TestManual keeps the tables of docs/action.md.
func TestManual(t *testing.T) {
	m := readMetadata(t)
	var inputs, outputs strings.Builder
	inputs.WriteString("| input | default | |\n|---|---|---|\n")
	each(t, m.Inputs, func(name string, in input) {
		value := ""
		if in.Default != "" {
			value = "`" + in.Default + "`"
		}
		fmt.Fprintf(&inputs, "| `%s` | %s | %s |\n", name, value, cell(in.Description))
	})
	outputs.WriteString("| output | |\n|---|---|\n")
	each(t, m.Outputs, func(name string, o struct{ Description, Value string }) {
		fmt.Fprintf(&outputs, "| `%s` | %s |\n", name, cell(o.Description))
	})
	path := filepath.Join(root, "docs", "action.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"inputs": inputs.String(), "outputs": outputs.String()} {
		begin, end := "<!-- "+name+" of action.yml -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(want, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s: no place for the %s", path, name)
		}
		want = before + begin + table + end + after
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s: its tables are not those of action.yml; -update writes them", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cell(s string) string { return strings.ReplaceAll(strings.TrimSuffix(s, "."), "|", `\|`) }
