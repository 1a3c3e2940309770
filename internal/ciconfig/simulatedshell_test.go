package ciconfig

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// checkout is $CI_PROJECT_DIR.
const checkout = "/builds/team/shop"

// machine is what a job runs on: its files, its docker and the other tools.
type machine struct {
	*simulator
	place
	env        map[string]string
	files      map[string]string
	local      map[string]string // docker's images
	containers map[string]string // the images of containers with a name
	built      map[string]int
}

// call is a command with its surroundings.
type call struct {
	*machine
	t    *testing.T
	args []string
	env  map[string]string
	dir  string
	in   io.Reader
	out  io.Writer
}

func (d *machine) fault(what, ref string) { d.faults = append(d.faults, fault{d.place, what, ref}) }

// run runs a script with its arguments.
func (d *machine) run(t *testing.T, script string, env map[string]string, args []string, in string) error {
	t.Helper()
	return d.runIn(t, "/", script, env, args, strings.NewReader(in), io.Discard)
}

func (d *machine) runIn(t *testing.T, dir, script string, env map[string]string, args []string, in io.Reader, out io.Writer) error {
	t.Helper()
	return d.runAs(t, "sh", dir, script, env, args, in, out)
}

// runAs runs a script under a name, which is its $0.
func (d *machine) runAs(t *testing.T, self, dir, script string, env map[string]string, args []string, in io.Reader, out io.Writer) error {
	t.Helper()
	var pairs []string
	for k, v := range env {
		pairs = append(pairs, k+"="+v)
	}
	f, err := syntax.NewParser().Parse(strings.NewReader(script), self)
	if err != nil {
		t.Fatalf("%v in\n%s", err, script)
	}
	options := []interp.RunnerOption{
		interp.Env(expand.ListEnviron(pairs...)), interp.StdIO(in, out, io.Discard),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(ctx context.Context, args []string) error { return d.exec(ctx, t, args) }
		}),
		interp.OpenHandler(d.open), interp.StatHandler(d.stat),
		interp.AccessHandler(func(context.Context, string, interp.AccessMode) error { return nil }),
		interp.ReadDirHandler2(d.readDir),
	}
	if args != nil {
		options = append(options, interp.Params(append([]string{"--"}, args...)...))
	}
	r, err := interp.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	r.Dir = dir
	err = r.Run(t.Context(), f)
	if status := interp.ExitStatus(0); err != nil && !errors.As(err, &status) {
		d.fault("script", err.Error())
	}
	return err
}

// exec calls one of the tools, or a script of the checkout.
func (d *machine) exec(ctx context.Context, t *testing.T, args []string) error {
	hc := interp.HandlerCtx(ctx)
	env := map[string]string{}
	for name, v := range hc.Env.Each {
		if v.Exported {
			env[name] = v.String()
		}
	}
	var in io.Reader = strings.NewReader("")
	if hc.Stdin != nil {
		in = hc.Stdin
	}
	c := &call{d, t, args, env, hc.Dir, in, hc.Stdout}
	return c.do()
}

// name is a path in the checkout.
func inCheckout(dir, name string) string {
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	name = strings.TrimPrefix(path.Clean(name), checkout)
	return strings.TrimPrefix(name, "/")
}

func (c *call) file(name string) string { return inCheckout(c.dir, name) }

// open is the interpreter's way to files, which a machine keeps in memory.
func (d *machine) open(ctx context.Context, name string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	name = inCheckout(interp.HandlerCtx(ctx).Dir, name)
	if name == "dev/null" {
		return &opened{Reader: strings.NewReader("")}, nil
	}
	text, ok := d.files[name]
	switch {
	case flag&(os.O_WRONLY|os.O_RDWR) == 0 && !ok:
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case flag&(os.O_WRONLY|os.O_RDWR) == 0:
		return &opened{Reader: strings.NewReader(text)}, nil
	case flag&os.O_APPEND == 0:
		d.files[name] = ""
	}
	return &opened{d, strings.NewReader(""), name}, nil
}

// opened is a file that a script reads or writes.
type opened struct {
	*machine
	io.Reader
	name string
}

func (f *opened) Write(p []byte) (int, error) {
	if f.machine != nil {
		f.files[f.name] += string(p)
	}
	return len(p), nil
}

func (*opened) Close() error { return nil }

func (d *machine) stat(ctx context.Context, name string, _ bool) (fs.FileInfo, error) {
	name = inCheckout(interp.HandlerCtx(ctx).Dir, name)
	if _, ok := d.files[name]; ok {
		return info{path.Base(name), false}, nil
	}
	for f := range d.files {
		if name == "" || strings.HasPrefix(f, name+"/") {
			return info{path.Base(name), true}, nil
		}
	}
	return nil, &os.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// readDir are the files in a folder, for patterns.
func (d *machine) readDir(ctx context.Context, name string) (out []fs.DirEntry, err error) {
	for _, base := range d.below(inCheckout(interp.HandlerCtx(ctx).Dir, name)) {
		out = append(out, fs.FileInfoToDirEntry(info{base, false}))
	}
	return out, nil
}

type info struct {
	name string
	dir  bool
}

func (i info) Name() string     { return i.name }
func (info) Size() int64        { return 1 }
func (info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool      { return i.dir }
func (info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o755
}

// do calls one of the tools.
func (c *call) do() error {
	name := path.Base(c.args[0])
	if script, ok := c.files[c.file(c.args[0])]; ok && strings.Contains(c.args[0], "/") {
		return c.runIn(c.t, c.dir, script, c.env, c.args[1:], c.in, c.out)
	}
	if tool, ok := tools[name]; ok {
		return tool(c)
	}
	return nil
}

var tools map[string]func(*call) error

func init() {
	tools = map[string]func(*call) error{
		"sh": (*call).shell, "bash": (*call).shell, "make": (*call).make,
		"docker": (*call).docker, "podman": (*call).docker, "buildah": (*call).docker, "docker-compose": (*call).compose, "executor": (*call).kaniko,
		"crane": (*call).craneMore, "regctl": (*call).regctlMore, "skopeo": (*call).skopeo,
		"oras": (*call).oras, "buildctl": (*call).buildctl, "pack": (*call).pack, "cosign": (*call).cosign, "jq": (*call).jq, "touch": (*call).touch,
		"trivy": (*call).scan, "grype": (*call).scan, "kubectl": (*call).kubectl, "helm": (*call).helm, "kustomize": (*call).kustomize,
		"cat": (*call).cat, "grep": (*call).grep, "tee": (*call).tee, "sed": (*call).sed, "tr": (*call).tr, "cut": (*call).cut, "env": (*call).printEnv, "envsubst": (*call).envsubst,
		"basename": (*call).basename, "xargs": (*call).xargs, "git": (*call).git, "notify": (*call).notify,
	}
}

// shell runs a script: a file, the text behind -c, or what it reads.
func (c *call) shell() error {
	args, sets := c.args[1:], ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, option := range "eu" {
			if strings.ContainsRune(args[0], option) && !strings.HasPrefix(args[0], "--") {
				sets += "set -" + string(option) + "\n"
			}
		}
		if strings.HasSuffix(args[0], "c") && len(args) > 1 {
			self, rest := path.Base(c.args[0]), []string{}
			if len(args) > 2 {
				self, rest = args[2], args[3:]
			}
			return c.runAs(c.t, self, c.dir, sets+args[1], c.env, rest, c.in, c.out)
		}
		args = args[1:]
	}
	if len(args) == 0 {
		script, _ := io.ReadAll(c.in)
		return c.runIn(c.t, c.dir, sets+string(script), c.env, nil, strings.NewReader(""), c.out)
	}
	script, ok := c.files[c.file(args[0])]
	if !ok {
		return interp.ExitStatus(127)
	}
	return c.runIn(c.t, c.dir, sets+script, c.env, args[1:], c.in, c.out)
}

// xargs calls a tool for each line that it reads, with the line in place of {}.
func (c *call) xargs() error {
	for line := range strings.Lines(c.input(nil)) {
		one := *c
		one.in, one.args = strings.NewReader(""), nil
		for _, a := range c.args[2:] {
			one.args = append(one.args, strings.ReplaceAll(a, "{}", strings.TrimSpace(line)))
		}
		if err := one.do(); err != nil {
			return interp.ExitStatus(123)
		}
	}
	return nil
}

// notify is a program that shows somebody what it is given.
func (c *call) notify() error {
	c.says[c.place] = append(c.says[c.place], strings.Join(c.args[1:], " "))
	return nil
}
