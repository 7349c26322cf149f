package action

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		inputs map[string]string
		want   Inputs
	}{
		{"nothing", nil, Inputs{Mode: Test, Args: []string{"./..."}, Dir: ".", Cache: true}},
		{"a list", map[string]string{"kernels": "# renovate: depName=k\n6.1, 6.6\n\n  debian:6.12  \n"},
			Inputs{Mode: Test, Args: []string{"-kernel=6.1, 6.6,debian:6.12", "./..."}, Dir: ".", Cache: true}},
		{"a comma in a path", map[string]string{"kernels": `./a\,b/bzImage`},
			Inputs{Mode: Test, Args: []string{`-kernel=./a\,b/bzImage`, "./..."}, Dir: ".", Cache: true}},
		{"flags", map[string]string{"args": "-run 'Test A|B' -race\n-tags \"x y\" -args -v ./x", "packages": "./a\n./b/..."},
			Inputs{Mode: Test, Args: []string{"-run", "Test A|B", "-race", "-tags", "x y", "./a", "./b/...", "-args", "-v", "./x"}, Dir: ".", Cache: true}},
		{"the rest", map[string]string{
			"arch": "arm64", "isolate": "run", "accel": "tcg", "require-kvm": "true", "cpus": "4", "memory": "512", "timeout": "90s", "retry": "0", "shard": "2/5",
			"durations": "last run.jsonl", "lock": "- image: x", "blocklist": "a b.yaml\n c.yaml", "coverage": "true", "cache": "false",
			"artifacts": "out dir", "working-directory": "sub",
		}, Inputs{
			Mode: Test,
			Args: []string{"-arch=arm64", "-isolate=run", "-accel=tcg", "-require-kvm=true", "-cpus=4", "-memory=512", "-timeout=90s", "-retry=0", "-shard=2/5",
				"-shard-durations=last run.jsonl", "-blocklist=a b.yaml", "-blocklist=c.yaml", "./..."},
			Dir: "sub", Artifacts: "out dir", Lock: "- image: x", Coverage: true,
		}},
		{"commands", map[string]string{"command": "./check.sh 'a b' && true", "setup": "mount -t bpf bpf /b", "teardown": "dmesg"},
			Inputs{Mode: Test, Args: []string{"-setup-cmd=mount -t bpf bpf /b", "-teardown-cmd=dmesg", "-cmd=./check.sh 'a b' && true"}, Dir: ".", Cache: true}},
		{"no shell", map[string]string{"args": "-run '$(id)' -skip `id`;id -tags $HOME", "packages": "$(id)"},
			Inputs{Mode: Test, Args: []string{"-run", "$(id)", "-skip", "`id`;id", "-tags", "$HOME", "$(id)"}, Dir: ".", Cache: true}},
		{"a matrix", map[string]string{"mode": "matrix", "kernels": "6.1,6.6", "arch": "arm64", "shards": "3", "cpus": "4"},
			Inputs{Mode: Matrix, Args: []string{"-kernel=6.1,6.6", "-arch=arm64", "-shard-count=3"}, Dir: ".", Cache: true}},
		{"a report", map[string]string{"mode": "report", "kernels": "6.1,6.6", "results": "legs\nmore legs"},
			Inputs{Mode: Report, Args: []string{"-merge", "-exit-code", "-github", "-expect=6.1,6.6", "legs", "more legs"}, Dir: ".", Cache: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(func(name string) string { return tt.inputs[name] }, "ghcr.io/o/k")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	for _, tt := range []struct{ input, value, want string }{
		{"kernels", "debian:6.1 debian:6.12", `input kernels "debian:6.1 debian:6.12": parse kernel reference `},
		{"kernels", "6.1,6.1", `is named twice`},
		{"kernels", "6.1,", `it is empty`},
		{"arch", "x86_64", `input arch "x86_64": want amd64 or arm64`},
		{"isolate", "kernel", `input isolate "kernel": want run or package or test`},
		{"accel", "hvf", `input accel "hvf": want auto or kvm or tcg`},
		{"require-kvm", "yes", `input require-kvm "yes": want true or false`},
		{"coverage", "1", `input coverage "1": want true or false`},
		{"cache", "no", `input cache "no": want true or false`},
		{"cpus", "many", `input cpus "many": want a number of virtual CPUs`},
		{"cpus", "0", `input cpus "0": want a number of virtual CPUs`},
		{"memory", "2G", `input memory "2G": want a number of MiB`},
		{"timeout", "10", `input timeout "10": want a time, as 90s or 10m`},
		{"timeout", "-1m", `input timeout "-1m": want a time`},
		{"packages", "-race ./...", `input packages "-race ./...": want packages; flags go into the input args`},
		{"args", "-run 'x", `input args "-run 'x": a quotation has no end`},
		{"args", `x\`, `nothing follows the last backslash`},
		{"args", "-v --kernel=6.1", `-kernel is the input kernels`},
		{"args", "-jsonl x", `-jsonl is given anyway`},
		{"command=true packages", "./...", `input packages "./...": there is the input command`},
		{"args", "-isolate=run", `-isolate is the input isolate`},
		{"args", "-cmd true", `-cmd is the input command`},
		{"mode", "run", `input mode "run": want test, matrix or report`},
		{"retry", "-1", `input retry "-1": want a number of attempts`},
		{"shard", "3/2", `input shard "3/2": parse shard "3/2": want one like 2/5`},
		{"shards", "2", `input shards "2": it is for the mode matrix`},
		{"results", "legs", `input results "legs": it is for the mode report`},
		{"mode=report results", "", `input results "": want directories with result streams`},
		{"mode=report shard", "1/2", `input shard "1/2": it is for the mode test`},
		{"mode=matrix shards", "none", `input shards "none": want a number of jobs`},
	} {
		in := map[string]string{}
		if other, rest, ok := strings.Cut(tt.input, "="); ok {
			in[other], tt.input, _ = strings.Cut(rest, " ")
		}
		in[tt.input] = tt.value
		_, err := Read(func(name string) string { return in[name] }, "ghcr.io/o/k")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %s", tt.input, tt.value, err, tt.want)
		}
	}
	// All of them are told at once.
	in := map[string]string{"cpus": "x", "memory": "y", "args": "'", "cache": "z"}
	_, err := Read(func(name string) string { return in[name] }, "ghcr.io/o/k")
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v, want four lines", err)
	}
}

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{" \t\r\n", nil},
		{"a b\nc", []string{"a", "b", "c"}},
		{`''`, []string{""}},
		{`a'b c'd"e f"`, []string{"ab cde f"}},
		{`'a\'`, []string{`a\`}},
		{`"a\"b\\c\d"`, []string{`a"b\c\d`}},
		{`a\ b \'`, []string{"a b", "'"}},
		{"'a\nb'", []string{"a\nb"}},
		{"é ü", []string{"é", "ü"}},
	} {
		got, err := split(tt.in)
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("split(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}
