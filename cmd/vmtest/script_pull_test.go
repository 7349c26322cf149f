package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestPull runs those scripts of testdata/pull that are about no fault; TestFault
// runs the others.
func TestPull(t *testing.T) {
	needReal(t)
	params := pullParams(t, buildInits(t))
	for _, name := range []string{"credentials", "mirror", "signed"} {
		params.Files = append(params.Files, "testdata/pull/"+name+".txt")
	}
	testscript.Run(t, params)
}

// pullParams are how scripts of testdata/pull are run: each with a registry
// process of its own that asks for a password, behind a proxy that makes faults.
// What a user is told about each of them is logged.
func pullParams(t *testing.T, inits string) testscript.Params {
	t.Helper()
	told := &table{}
	t.Cleanup(func() { t.Logf("what a user is told:\n%s", told) })
	params := scriptParams(t, inits)
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		r, err := startRegistry(env.Defer)
		if err != nil {
			return err
		}
		env.Setenv("REGISTRY", r.host())
		env.Setenv("DOCKER_CONFIG", filepath.Join(env.WorkDir, "docker"))
		env.Values[registryKey{}] = r
		return setup(env)
	}
	params.Cmds["registry"] = cmdRegistryProcess
	params.Cmds["login"] = cmdLogin
	params.Cmds["fault"] = cmdFault
	params.Cmds["tamper"] = cmdTamper
	params.Cmds["delete"] = cmdDelete
	params.Cmds["requests"] = cmdRequests
	params.Cmds["killwhen"] = cmdKill
	params.Cmds["tell"] = told.cmd
	return params
}

// table is the first line of the error for each fault.
type table struct {
	mu   sync.Mutex
	rows []string
}

// tell FAULT enters the error that the last command printed.
func (t *table) cmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: tell fault")
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if text, ok := strings.CutPrefix(line, "vmtest: error: "); ok {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.rows = append(t.rows, args[0]+"\t"+strings.ReplaceAll(text, ts.Getenv("REGISTRY"), "REGISTRY"))
			return
		}
	}
	ts.Fatalf("the last command printed no error")
}

func (t *table) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	slices.Sort(t.rows)
	fmt.Fprint(w, strings.Join(t.rows, ""))
	w.Flush()
	return b.String()
}

// registryProcess is docker-registry, and a proxy before it.
type registryProcess struct {
	dir     string // of its configuration and blobs
	cmd     *exec.Cmd
	proxy   *httptest.Server
	stopped chan struct{}

	mu       sync.Mutex
	fault    *fault
	requests []string
}

type registryKey struct{}

func registryOf(ts *testscript.TestScript) *registryProcess {
	return ts.Value(registryKey{}).(*registryProcess)
}

// The registry listens on a socket, so that nobody else can take its port.
const registryConfig = `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: %[1]s/data
  delete:
    enabled: true
http:
  net: unix
  addr: %[1]s/socket
  relativeurls: true
auth:
  htpasswd:
    realm: test
    path: %[1]s/htpasswd
`

// htpasswd knows the user me and the password secret.
const htpasswd = "me:$2b$04$9jp3jMQv21BkMpYHglHRr.lDshuUw38supA0mNIb5NLfDiQBWBGCa\n"

// startRegistry starts a registry, which ends with the test.
func startRegistry(cleanup func(func())) (*registryProcess, error) {
	dir, err := os.MkdirTemp("", "registry") // a socket's path must be short
	if err != nil {
		return nil, err
	}
	cleanup(func() { os.RemoveAll(dir) })
	r := &registryProcess{dir: dir, stopped: make(chan struct{})}
	config := filepath.Join(dir, "config.yml")
	if err := errors.Join(
		os.WriteFile(config, fmt.Appendf(nil, registryConfig, dir), 0o600),
		os.WriteFile(filepath.Join(dir, "htpasswd"), []byte(htpasswd), 0o600),
	); err != nil {
		return nil, err
	}
	r.cmd = exec.Command("docker-registry", "serve", config)
	r.cmd.Env = []string{"OTEL_TRACES_EXPORTER=none"}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that times out does not stop it
	var log strings.Builder
	r.cmd.Stdout, r.cmd.Stderr = &log, &log
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	cleanup(r.stop)
	r.proxy = httptest.NewServer(r.handler())
	cleanup(r.proxy.Close)
	cleanup(func() { close(r.stopped) })
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", r.socket()); err == nil {
			return r, c.Close()
		}
	}
	r.stop()
	return nil, fmt.Errorf("start docker-registry: it does not listen:\n%s", &log)
}

// host is the registry's name.
func (r *registryProcess) host() string { return strings.TrimPrefix(r.proxy.URL, "http://") }

func (r *registryProcess) socket() string { return filepath.Join(r.dir, "socket") }

func (r *registryProcess) stop() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// handler passes requests on, except those that the fault is about.
func (r *registryProcess) handler() http.Handler {
	target := &url.URL{Scheme: "http", Host: "registry"}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", r.socket())
		}},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, strings.TrimSpace(q.Method+" "+q.URL.Path+" "+q.Header.Get("Range")))
		f := r.fault
		r.mu.Unlock()
		if f == nil || f.times.Load() == 0 || !f.about(q) {
			proxy.ServeHTTP(w, q)
			return
		}
		f.handle(w, q, proxy)
	})
}

// fault is what the proxy does to requests.
type fault struct {
	times  atomic.Int64 // how often; negative is always
	about  func(*http.Request) bool
	handle func(http.ResponseWriter, *http.Request, http.Handler)
}

func aboutBlobs(q *http.Request) bool { return strings.Contains(q.URL.Path, "/blobs/") }
func aboutAll(q *http.Request) bool   { return q.URL.Path != "/v2/" }

// fault [-once] status CODE [RETRY-AFTER] answers with the status.
// fault [-once] cut BYTES hangs up after so many bytes of a blob.
// fault [-once] stall BYTES says nothing more after so many bytes of a blob.
// fault none ends it.
func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	r := registryOf(ts)
	f := &fault{}
	f.times.Store(-1)
	if len(args) > 0 && args[0] == "-once" {
		f.times.Store(1)
		args = args[1:]
	}
	number := 0
	if len(args) > 1 {
		var err error
		number, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: fault [-once] none|status|cut|stall [arguments]")
	case args[0] == "none":
		f = nil
	case args[0] == "status":
		f.about = aboutAll
		f.handle = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			f.times.Add(-1)
			if len(args) > 2 {
				w.Header().Set("Retry-After", args[2])
			}
			w.WriteHeader(number)
		}
	case args[0] == "cut", args[0] == "stall":
		f.about = aboutBlobs
		f.handle = func(w http.ResponseWriter, q *http.Request, registry http.Handler) {
			part := &limited{ResponseWriter: w, left: number}
			registry.ServeHTTP(part, q)
			if part.left > 0 {
				return // it was short enough
			}
			f.times.Add(-1)
			w.(http.Flusher).Flush()
			if args[0] == "stall" {
				select {
				case <-q.Context().Done():
				case <-r.stopped:
				}
			}
			panic(http.ErrAbortHandler)
		}
	default:
		ts.Fatalf("unknown fault %s", args[0])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// limited passes on the first bytes of an answer.
type limited struct {
	http.ResponseWriter
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n, err := l.ResponseWriter.Write(p[:min(len(p), l.left)])
	l.left -= n
	if err != nil {
		return n, err
	}
	return len(p), nil
}

// registry stop ends the registry and leaves its address to nobody.
func cmdRegistryProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || args[0] != "stop" {
		ts.Fatalf("usage: registry stop")
	}
	r := registryOf(ts)
	r.stop()
	r.proxy.CloseClientConnections()
	r.proxy.Listener.Close()
}

// login [USER PASSWORD] is docker login, or without a user docker logout.
func cmdLogin(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case neg || len(args) != 0 && len(args) != 2:
		ts.Fatalf("usage: login [user password]")
	case len(args) == 0:
		ts.Check(os.RemoveAll(ts.Getenv("DOCKER_CONFIG")))
	default:
		ts.Check(login(ts.Getenv("DOCKER_CONFIG"), ts.Getenv("REGISTRY"), args[0], args[1]))
	}
}

// login leaves a password in docker's configuration in a directory.
func login(dir, registry, user, password string) error {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, registry, auth)
	return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600))
}

// tamper changes a byte of the largest blob on the registry's disk.
func cmdTamper(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: tamper")
	}
	blobs, err := filepath.Glob(filepath.Join(registryOf(ts).dir, "data/docker/registry/v2/blobs/sha256/*/*/data"))
	ts.Check(err)
	var largest string
	var content []byte
	for _, blob := range blobs {
		b, err := os.ReadFile(blob)
		ts.Check(err)
		if len(b) > len(content) {
			largest, content = blob, b
		}
	}
	if len(content) == 0 {
		ts.Fatalf("the registry has no blobs")
	}
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(largest, content, 0o600))
}

// delete FILE deletes the manifest of the digest in the file from org/kernels.
func cmdDelete(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: delete file")
	}
	digest, err := name.NewDigest(ts.Getenv("REGISTRY") + "/org/kernels@" + ts.ReadFile(args[0]))
	ts.Check(err)
	ts.Check(remote.Delete(digest, remote.WithAuth(&authn.Basic{Username: "me", Password: "secret"})))
}

// requests FILE writes what was asked of the registry since the last time.
func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: requests file")
	}
	r := registryOf(ts)
	r.mu.Lock()
	defer r.mu.Unlock()
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(append(r.requests, ""), "\n")), 0o644))
	r.requests = nil
}

// killwhen PATTERN [BYTES] kills the last program in the background once there is a
// file that matches, of so many bytes.
func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	background := ts.BackgroundCmds()
	if neg || len(args) == 0 || len(args) > 2 || len(background) == 0 {
		ts.Fatalf("usage: killwhen pattern [bytes], with a program in the background")
	}
	size := int64(0)
	if len(args) == 2 {
		var err error
		size, err = strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
	}
	process := background[len(background)-1].Process
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		found, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.Size() >= size {
				ts.Check(process.Kill())
				return
			}
		}
	}
	ts.Fatalf("%s does not appear", args[0])
}
