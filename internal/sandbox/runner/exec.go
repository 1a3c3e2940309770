package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// call is one run of a command.
type call struct {
	place
	ctx      context.Context
	name     string
	args     []string // without the name
	dir      string
	env      expand.Environ
	in       io.Reader
	out, err io.Writer
}

// command is a program: it returns its exit code.
type command func(c *call) int

// fail prints to standard error and returns exit code 1.
func (c *call) fail(format string, a ...any) int {
	fmt.Fprintf(c.err, format+"\n", a...)
	return 1
}

func (c *call) printf(format string, a ...any) { fmt.Fprintf(c.out, format, a...) }

func (c *call) getenv(name string) string { return c.env.Get(name).String() }

// path makes an argument absolute.
func (c *call) path(name string) string { return virtual(c.dir, name) }

// exported returns the variables that a program sees.
func (c *call) exported() map[string]string {
	out := map[string]string{}
	for name, v := range c.env.Each {
		if v.Exported && v.Kind == expand.String {
			out[name] = v.Str
		}
	}
	return out
}

// stdin reads standard input to its end or until the job ends.
func (c *call) stdin() []byte {
	b, _ := io.ReadAll(io.LimitReader(c.in, maxRead))
	return b
}

// open opens an argument for reading; "-" is standard input.
func (c *call) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.in), nil
	}
	if f, ok := device(name, c.in, c.out, c.err); ok {
		return f, nil
	}
	return c.disk.open(c.path(name), 0, 0)
}

func (c *call) readFile(name string) ([]byte, error) {
	f, err := c.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRead))
}

// with returns the call of another command in the same surroundings.
func (c *call) with(name string, args ...string) *call {
	n := *c
	n.name, n.args = name, args
	return &n
}

// exec is the interpreter's handler for everything that is not a builtin.
func (sh session) exec(ctx context.Context, args []string) (err error) {
	hc := interp.HandlerCtx(ctx)
	c := &call{
		place: sh.place, ctx: ctx, name: args[0], args: args[1:], dir: hc.Dir, env: hc.Env,
		in: hc.Stdin, out: hc.Stdout, err: hc.Stderr,
	}
	if c.in == nil {
		c.in = strings.NewReader("")
	}
	defer func() {
		if p := recover(); p != nil {
			c.j.o.Log.Error("command panicked", "command", args[0], "panic", p)
			err = interp.ExitStatus(134)
		}
	}()
	code := c.run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code != 0 {
		return interp.ExitStatus(uint8(min(max(code, 1), 255)))
	}
	return nil
}

// binaries are the directories in which programs count as installed.
var binaries = []string{"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/busybox", "/kaniko"}

// run finds and runs a command: a file, one of ours, a known tool, or one of the
// container's image.
func (c *call) run() int {
	base := c.name
	if strings.Contains(c.name, "/") {
		full := c.path(c.name)
		base = path.Base(full)
		if info, err := c.disk.stat(full); err == nil && !strings.HasPrefix(full, "/usr/bin/") {
			return c.file(full, info)
		}
		installed := slices.Contains(binaries, path.Dir(full))
		if !installed && !builtTool(c.name) && !c.brought(full) {
			return c.missing()
		}
	}
	if f := commands[base]; f != nil && c.available(base) {
		return f(c.with(base, c.args...))
	}
	if c.brought(c.name) {
		c.printf("%s: done\n", base)
		return 0
	}
	if tools[base] {
		c.printf("%s: ok\n", base)
		return 0
	}
	return c.missing()
}

// brought tells whether the image that the command runs in has it: that of the
// container, or of the job when it is one of the project's own.
func (c *call) brought(name string) bool {
	if c.inside != nil {
		return c.inside.has(name)
	}
	main := c.j.main
	return main != nil && (main.programs[path.Base(name)] || main.has(name) && (!strings.Contains(c.name, "/") || strings.HasPrefix(c.name, "/")))
}

func (c *call) missing() int {
	if strings.Contains(c.name, "/") {
		fmt.Fprintf(c.err, "bash: line %d: %s: No such file or directory\n", c.line(), c.name)
	} else {
		fmt.Fprintf(c.err, "bash: line %d: %s: command not found\n", c.line(), c.name)
	}
	return 127
}

func (c *call) line() uint { return interp.HandlerCtx(c.ctx).Pos.Line() }

// available tells whether one of our commands is there: docker only where the
// image of the job brings its client, and none of the remote tools in a container
// that does not have them.
func (c *call) available(name string) bool {
	if c.inside != nil {
		return !outward[name] || c.inside.has(name)
	}
	if name == "docker" || name == "docker-compose" {
		return clientIn(c.j.image())
	}
	return true
}

// file runs a file as the kernel would: a script by its interpreter.
func (c *call) file(full string, info fs.FileInfo) int {
	if info.IsDir() {
		fmt.Fprintf(c.err, "bash: line %d: %s: Is a directory\n", c.line(), c.name)
		return 126
	}
	if info.Mode()&0o111 == 0 {
		fmt.Fprintf(c.err, "bash: line %d: %s: Permission denied\n", c.line(), c.name)
		return 126
	}
	content, err := c.disk.read(full)
	if err != nil {
		return c.fail("bash: %v", err)
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if !bytes.HasPrefix(first, []byte("#!")) {
		if bytes.IndexByte(content, 0) >= 0 || (c.inside != nil && len(content) == 0) {
			// A program. What it would do is not known; that it is there is.
			c.printf("%s: done\n", path.Base(full))
			return 0
		}
		return c.script(full, content, nil, c.args)
	}
	words := strings.Fields(strings.TrimSpace(string(first[2:])))
	if len(words) > 0 && path.Base(words[0]) == "env" {
		words = words[1:]
		for len(words) > 0 && strings.HasPrefix(words[0], "-") {
			words = words[1:]
		}
	}
	if len(words) == 0 {
		return c.fail("bash: %s: bad interpreter", c.name)
	}
	interpreter := path.Base(strings.TrimSuffix(words[0], "\r"))
	if shells[interpreter] {
		return c.script(full, content, words[1:], c.args)
	}
	if strings.HasSuffix(words[0], "\r") {
		fmt.Fprintf(c.err, "bash: line %d: %s: %s: bad interpreter: No such file or directory\n", c.line(), c.name, words[0])
		return 126
	}
	return c.with(interpreter, append([]string{c.name}, c.args...)...).run()
}

var shells = map[string]bool{"sh": true, "bash": true, "ash": true, "dash": true}

// script interprets a shell script in a new shell with the exported variables.
func (c *call) script(name string, content []byte, options, args []string) int {
	sh := session{place: c.place, dir: c.dir, env: pairs(c.exported()), in: c.in, out: c.out, err: c.err}
	sh.args = slices.Concat(options, []string{"--"}, args)
	return sh.run(c.ctx, name, string(content))
}

// cmdShell is sh and bash as a command.
func cmdShell(c *call) int {
	var options []string
	args := c.args
	text, given := "", false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
		case a == "--login" || a == "--noprofile" || a == "--norc" || a == "--posix":
			continue
		case strings.HasPrefix(a, "--"):
			return c.fail("%s: %s: invalid option", c.name, a)
		case strings.HasPrefix(a, "-o") || strings.HasPrefix(a, "+o"):
			if len(args) == 0 {
				return c.fail("%s: -o: option requires an argument", c.name)
			}
			options = append(options, a, args[0])
			args = args[1:]
			continue
		default:
			wantName := false
			for _, o := range a[1:] {
				switch o {
				case 'c':
					given = true
				case 'o':
					wantName = true
				case 'l', 'i', 's', 'h', 'B':
				default:
					options = append(options, a[:1]+string(o))
				}
			}
			if wantName && len(args) > 0 {
				options = append(options, a[:1]+"o", args[0])
				args = args[1:]
			}
			continue
		}
		break
	}
	name := c.name
	switch {
	case given && len(args) == 0:
		return c.fail("%s: -c: option requires an argument", c.name)
	case given:
		text, args = args[0], args[1:]
		if len(args) > 0 {
			name, args = args[0], args[1:]
		}
	case len(args) > 0:
		b, err := c.readFile(args[0])
		if err != nil {
			fmt.Fprintf(c.err, "%s: %s: %s\n", c.name, args[0], reason(err))
			return 127
		}
		text, name, args = string(b), args[0], args[1:]
	default:
		text = string(c.stdin())
	}
	return c.script(name, []byte(text), options, args)
}

// reason is the system's message of a file error, as programs print it.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
