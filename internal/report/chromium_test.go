package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A chromium is a browser without a window. It reads messages of its DevTools
// protocol, each with a zero behind it, from file 3 and writes them to file 4.
type chromium struct {
	in   *os.File
	out  *bufio.Reader
	read *os.File // that out reads
	last int      // the number of the last message
	tabs map[string]*tab
}

// A tab is a page in a browser. What the page complains about, asks for or runs
// that it should not is a fault, which fails the test in the end.
type tab struct {
	*chromium
	t       *testing.T
	session string
	own     string // the page's address
	there   bool   // the tab has gone to it
	loaded  bool
	faults  []string
}

// patience is how long a browser may be silent, or a page get for what takes it
// milliseconds.
const patience = time.Minute

// startChromium starts the browser that vmtest setup -for dev installs, or
// another one that is there.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := "", error(nil)
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal("no Chromium: vmtest setup -for dev installs one where the distribution has it; Chrome does as well")
	}
	c := &chromium{tabs: map[string]*tab{}}
	theirs, ours := pipes(t)
	c.in, c.read = ours[0], ours[1]
	c.out = bufio.NewReader(c.read)
	// Root may not use the sandbox, and what is in the page may do nothing.
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = theirs
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = patience // for processes of its own
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Closed as one closes a browser, it ends all of its processes and
		// writes no more into a directory that is being removed.
		_, _ = c.send("", "Browser.close", nil)
		defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, said.String())
		}
	})
	for _, f := range theirs {
		_ = f.Close()
	}
	return c
}

// pipes are one to the browser and one from it: its ends, and those of the test.
func pipes(t *testing.T) (theirs, ours []*os.File) {
	t.Helper()
	for i := range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ends := []*os.File{r, w}
		theirs, ours = append(theirs, ends[i]), append(ours, ends[1-i])
		t.Cleanup(func() { _ = ends[1-i].Close() })
	}
	return theirs, ours
}

// A message is one of the protocol's, with the parts that matter here.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

type params map[string]any

// call sends a message and reads its answer into result, unless that is nil.
func (c *chromium) call(session, method string, p params, result any) error {
	id, err := c.send(session, method, p)
	if err != nil {
		return err
	}
	for {
		m, err := c.receive()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", method, err)
		}
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

// send sends a message and returns its number, which the answer will have.
func (c *chromium) send(session, method string, p params) (id int, err error) {
	c.last++
	text, err := json.Marshal(p)
	if err != nil {
		return 0, err
	}
	text, err = json.Marshal(message{ID: c.last, SessionID: session, Method: method, Params: text})
	if err != nil {
		return 0, err
	}
	_, err = c.in.Write(append(text, 0))
	return c.last, err
}

// receive reads a message. Events are noted where they belong.
func (c *chromium) receive() (message, error) {
	if err := c.read.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return message{}, err
	}
	text, err := c.out.ReadBytes(0)
	if err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
		return message{}, err
	}
	if t := c.tabs[m.SessionID]; t != nil && m.Method != "" {
		return m, t.event(m)
	}
	return m, nil
}

// event notes what happened in a page.
func (b *tab) event(m message) error {
	var p struct {
		Message   string // of a dialog
		Type      string // of a message on the console
		Args      []struct{ Value any }
		Frame     struct{ URL string }
		Entry     struct{ Source, Level, Text string }
		Request   struct{ URL string }
		Exception struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	_ = json.Unmarshal(m.Params, &p) // other events have other parameters
	fault := func(format string, args ...any) { b.faults = append(b.faults, fmt.Sprintf(format, args...)) }
	switch m.Method {
	case "Page.frameNavigated":
		b.there = p.Frame.URL == b.own
	case "Page.loadEventFired":
		b.loaded = b.there // an empty tab loads, too
	case "Page.javascriptDialogOpening":
		fault("it opened a dialog: %s", p.Message)
		_, err := b.send(b.session, "Page.handleJavaScriptDialog", params{"accept": true})
		return err
	case "Runtime.exceptionThrown":
		fault("%s: %s", p.Exception.Text, p.Exception.Exception.Description)
	case "Runtime.consoleAPICalled":
		fault("console.%s %v", p.Type, p.Args)
	case "Log.entryAdded": // what a policy forbids is logged, too
		fault("%s, %s: %s", p.Entry.Source, p.Entry.Level, p.Entry.Text)
	case "Network.requestWillBeSent":
		if address, _, _ := strings.Cut(p.Request.URL, "#"); address != b.own && !strings.HasPrefix(address, "data:") {
			fault("it asked for %s", p.Request.URL)
		}
	}
	return nil
}

// A screen is what a page is seen on.
type screen struct {
	width int // pixels
	dark  bool
}

// open shows a page in a new tab, at the given fragment of its address.
func (c *chromium) open(t *testing.T, page, fragment string, s screen) *tab {
	t.Helper()
	b := c.tab(t, s)
	b.show(page, fragment)
	return b
}

// show shows a page in this tab.
func (b *tab) show(page, fragment string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.own = (&url.URL{Scheme: "file", Path: file}).String()
	b.do("Page.navigate", params{"url": b.own + fragment}, nil)
	for !b.loaded {
		if _, err := b.receive(); err != nil {
			b.t.Fatalf("wait for the page: %v", err)
		}
	}
}

// tab is a new tab, with nothing in it.
func (c *chromium) tab(t *testing.T, s screen) *tab {
	t.Helper()
	b := &tab{chromium: c, t: t}
	var made struct{ TargetID, SessionID string }
	if err := c.call("", "Target.createTarget", params{"url": "about:blank"}, &made); err != nil {
		t.Fatal(err)
	}
	if err := c.call("", "Target.attachToTarget", params{"targetId": made.TargetID, "flatten": true}, &made); err != nil {
		t.Fatal(err)
	}
	b.session = made.SessionID
	c.tabs[b.session] = b
	t.Cleanup(func() {
		delete(c.tabs, b.session)
		if err := c.call("", "Target.closeTarget", params{"targetId": made.TargetID}, nil); err != nil {
			t.Error(err)
		}
		for _, fault := range slices.Compact(b.faults) {
			t.Error(fault)
		}
	})
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.do(domain+".enable", nil, nil)
	}
	scheme := map[bool]string{false: "light", true: "dark"}[s.dark]
	b.do("Emulation.setEmulatedMedia", params{"features": []params{
		{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
	b.resize(s.width)
	return b
}

func (b *tab) resize(width int) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", params{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// do is a call that has to succeed.
func (b *tab) do(method string, p params, result any) {
	b.t.Helper()
	if err := b.call(b.session, method, p, result); err != nil {
		b.t.Fatal(err)
	}
}

// eval is an expression's value in the page.
func eval[T any](b *tab, format string, args ...any) T {
	b.t.Helper()
	expression := fmt.Sprintf(format, args...)
	var got struct {
		Result    struct{ Value T }
		Exception *struct {
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	b.do("Runtime.evaluate", params{"expression": expression, "returnByValue": true}, &got)
	if got.Exception != nil {
		b.t.Fatalf("%s: %s", expression, got.Exception.Exception.Description)
	}
	return got.Result.Value
}

// becomes waits for an expression to have a value: following a link is not over
// when the click on it is.
func becomes[T comparable](b *tab, want T, format string, args ...any) {
	b.t.Helper()
	var got T
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = eval[T](b, format, args...); got == want {
			return
		}
	}
	b.t.Fatalf("%s is %v, want %v", fmt.Sprintf(format, args...), got, want)
}

// click presses and releases the mouse's button over the middle of an element,
// whatever lies on top there.
func (b *tab) click(selector string) {
	b.t.Helper()
	at := eval[*struct{ X, Y float64 }](b, `(() => {
		const e = document.querySelector(%q);
		if (!e || !e.checkVisibility()) return null;
		e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
		const r = e.getBoundingClientRect();
		return {X: r.x + r.width/2, Y: r.y + r.height/2};
	})()`, selector)
	if at == nil {
		b.t.Fatalf("click on %s: it is not to be seen", selector)
	}
	b.clickAt(at.X, at.Y)
}

func (b *tab) clickAt(x, y float64) {
	b.t.Helper()
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.do("Input.dispatchMouseEvent", params{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}, nil)
	}
}

// press presses a key and releases it.
func (b *tab) press(key string) {
	b.t.Helper()
	p := params{"type": "keyDown", "key": key}
	switch {
	case key == "Enter":
		p["text"] = "\r"
	case len(key) == 1:
		p["text"] = key
	}
	b.do("Input.dispatchKeyEvent", p, nil)
	b.do("Input.dispatchKeyEvent", params{"type": "keyUp", "key": key}, nil)
}

// types presses the keys of a text.
func (b *tab) types(text string) {
	b.t.Helper()
	for _, key := range text {
		b.press(string(key))
	}
}

// withoutScripts has the page's scripts not run from now on.
func (b *tab) withoutScripts() {
	b.t.Helper()
	b.do("Emulation.setScriptExecutionDisabled", params{"value": true}, nil)
}
