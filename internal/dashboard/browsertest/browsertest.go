// Package browsertest opens pages in a headless Chromium, for tests that click
// through them and look at them as people do.
//
// Without a Chromium on the machine such a test is skipped and says so; where
// CI=true it fails, because then nobody has looked.
package browsertest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take to become what a test waits for.
const patience = time.Minute

// Tab is a tab of a browser of its own. Its methods end the test when what they
// ask for can't be done.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	messages []string
}

// Open starts a browser with a new profile; it ends with the test.
func Open(t testing.TB) *Tab {
	t.Helper()
	path := find()
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Chromium (Debian package chromium, see .ci/deps): nobody has looked at the pages")
		}
		t.Skip("no Chromium (Debian package chromium): nobody looks at the pages")
	}
	// A short path: Chromium makes sockets in there.
	profile, err := os.MkdirTemp("", "ferry-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Headless, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-dev-shm-usage", true))...)
	ctx, stopTab := chromedp.NewContext(ctx)
	ctx, stopTime := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(func() {
		stopTime()
		stopTab()
		stop()
		os.RemoveAll(profile)
	})
	b := &Tab{t: t, ctx: ctx}
	// Not with do: the browser lives as long as the context that starts it.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	console := chromedp.Console(ctx)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" {
				b.mu.Lock()
				b.messages = append(b.messages, m.Text)
				b.mu.Unlock()
			}
		}
	}()
	return b
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return p
		}
	}
	return ""
}

// do runs an action, and tells what the page was when it fails.
func (b *Tab) do(what string, a chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, a); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.state())
	}
}

// state is what stands on the page, for messages about failures.
func (b *Tab) state() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText.slice(0, 1500)`))
	if err != nil {
		return err.Error()
	}
	return text
}

// Go opens an address.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.do("opening "+url, chromedp.Navigate(url))
}

// Reload loads the page again.
func (b *Tab) Reload() {
	b.t.Helper()
	b.do("reloading", chromedp.Reload())
}

// Look sets the size of the window, and whether its reader likes it dark.
func (b *Tab) Look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do("setting the window", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
		}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// Click clicks the first visible element of a CSS selector with the mouse.
func (b *Tab) Click(selector string) {
	b.t.Helper()
	b.do("clicking "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Type types into the first visible element of a CSS selector.
func (b *Tab) Type(selector, text string) {
	b.t.Helper()
	b.do("typing into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// Press presses keys, where the focus is.
func (b *Tab) Press(keys string) {
	b.t.Helper()
	b.do("pressing a key", chromedp.KeyEvent(keys))
}

// Until waits until a JavaScript expression is true.
func (b *Tab) Until(expression string) {
	b.t.Helper()
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(40 * time.Millisecond) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if ok {
			return
		}
		last = err // while another page is being loaded there may be none
	}
	b.t.Fatalf("waited %v for %s (%v)\n%s", patience, expression, last, b.state())
}

// UntilText waits until a text stands on the page.
func (b *Tab) UntilText(text string) {
	b.t.Helper()
	quoted, _ := json.Marshal(text)
	b.Until(`document.body && document.body.innerText.includes(` + string(quoted) + `)`)
}

// Text returns the value of a JavaScript expression that is a text.
func (b *Tab) Text(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", expression, err, b.state())
	}
	return text
}

// Texts returns the value of a JavaScript expression that is a list of texts.
func (b *Tab) Texts(expression string) []string {
	b.t.Helper()
	texts, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](expression))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.state())
	}
	return texts
}

// Errors returns what the pages have complained about since the last call:
// exceptions of scripts, what the Content-Security-Policy refused, what could
// not be loaded.
func (b *Tab) Errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.messages
	b.messages = nil
	return m
}

// Shoot keeps a picture of the whole page in the directory that BROWSER_SHOTS
// names, for people to look at; without one it does nothing.
func (b *Tab) Shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("BROWSER_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o600)
	}
	if err != nil {
		b.t.Errorf("shooting %s: %v", name, err)
	}
}

// Print prints the page on A4 and returns the PDF; BROWSER_SHOTS keeps it too.
func (b *Tab) Print(name string) []byte {
	b.t.Helper()
	yes := true
	pdf, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, t, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69, PreferCSSPageSize: &yes})
		return r.Data, err
	})
	if err != nil {
		b.t.Fatalf("printing %s: %v", name, err)
	}
	if dir := os.Getenv("BROWSER_SHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".pdf"), pdf, 0o600); err != nil {
			b.t.Error(err)
		}
	}
	return pdf
}

// Paper shows the page as it would be printed by a reader who likes it dark on the
// screen: the styles for paper, at the width of A4.
func (b *Tab) Paper() {
	b.t.Helper()
	b.Look(718, 1000, true)
	b.do("setting the medium", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
		})
		return err
	}))
}
