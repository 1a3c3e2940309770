package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// exitError is the exit code with which a script ended.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// place is where a shell runs: the job itself or a container.
type place struct {
	j      *job
	disk   *disk
	inside *container // nil in the job's own shell
}

// session is what a new interpreter starts with.
type session struct {
	place
	dir      string
	env      []string // KEY=value
	args     []string // options and positional parameters, as of sh
	in       io.Reader
	out, err io.Writer
}

// script runs the lines of a job in one shell, each echoed before it runs, and
// stops at the first that fails as the runner's generated script does.
func (j *job) script(ctx context.Context, lines []string, echo bool) error {
	sh := session{place: place{j: j, disk: j.disk}, dir: j.home, env: pairs(j.env), args: []string{"-e"}, out: j.log, err: j.log}
	r, err := sh.start()
	if err != nil {
		return systemError{err}
	}
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- systemError{fmt.Errorf("interpreter: %v", p)}
			}
		}()
		done <- j.lines(ctx, r, lines, echo)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		// Something in there does not listen, such as a read from a pipe. It
		// goes on until its own end, with a closed log and no files.
		return ctx.Err()
	}
}

func (j *job) lines(ctx context.Context, r *interp.Runner, lines []string, echo bool) error {
	if code, _ := execute(ctx, r, "set -o pipefail"); code != 0 {
		return exitError(code)
	}
	for _, line := range lines {
		j.echo(line)
		code, exited := execute(ctx, r, line)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if exited || code != 0 {
			if code != 0 {
				return exitError(code)
			}
			return nil
		}
	}
	// The shell's end, for traps.
	if err := r.Run(ctx, &syntax.File{}); err != nil {
		return exitError(exitCode(err))
	}
	return nil
}

// echo shows a line of the script as the runner does.
func (j *job) echo(line string) {
	line = strings.TrimRight(line, "\n")
	if first, _, more := strings.Cut(line, "\n"); more {
		line = first + " # collapsed multi-line command"
	}
	j.log.line("\x1b[32;1m$ " + line + "\x1b[0;m")
}

// execute runs a script statement by statement in a shell that goes on living.
// exited tells that the shell ended, by exit or by a failure under errexit.
func execute(ctx context.Context, r *interp.Runner, script string) (code int, exited bool) {
	script = strings.ReplaceAll(script, "\r\n", "\n")
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "bash")
	if err == nil && !modest(file) {
		err = errors.New("bash: brace expansion: failed to allocate memory")
	}
	if err != nil {
		// Let the shell say it, so that the words go where its errors go.
		quoted, _ := syntax.Quote(err.Error(), syntax.LangBash)
		say, _ := syntax.NewParser().Parse(strings.NewReader("echo "+quoted+" >&2"), "")
		if say != nil {
			_ = r.Run(ctx, say.Stmts[0])
		}
		return 2, true
	}
	for _, stmt := range file.Stmts {
		code = exitCode(r.Run(ctx, stmt))
		if r.Exited() || ctx.Err() != nil {
			return code, true
		}
	}
	// Without errexit the status of a failed statement is that of the script.
	return code, false
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var status interp.ExitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	return 1
}

// run interprets a whole script in a shell of its own and returns its exit code.
func (sh session) run(ctx context.Context, name, script string) int {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(strings.ReplaceAll(script, "\r\n", "\n")), name)
	if err != nil {
		fmt.Fprintln(sh.err, err)
		return 2
	}
	if !modest(file) {
		fmt.Fprintln(sh.err, name+": brace expansion: failed to allocate memory")
		return 2
	}
	r, err := sh.start()
	if err != nil {
		fmt.Fprintln(sh.err, err)
		return 2
	}
	return exitCode(r.Run(ctx, file))
}

// start makes an interpreter in which nothing of the host can be reached.
func (sh session) start() (*interp.Runner, error) {
	env := environ{expand.ListEnviron(append(slices.Clone(sh.env),
		"TMPDIR="+path.Join(sh.disk.base, fifos), "UID=0", "EUID=0", "GID=0")...)}
	r, err := interp.New(
		interp.Env(env),
		// Not interp.Dir: that looks for the directory on the host.
		func(r *interp.Runner) error { r.Dir = sh.dir; return nil },
		interp.StdIO(sh.in, sh.out, sh.err),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.exec }),
		interp.CallHandler(sh.call),
		interp.OpenHandler(sh.open),
		interp.ReadDirHandler2(sh.readDir),
		interp.StatHandler(sh.stat),
		interp.AccessHandler(sh.access),
	)
	if err != nil {
		return nil, err
	}
	// The interpreter has noted where its named pipes go; the script's own
	// TMPDIR is the job's.
	r.Reset()
	if code, _ := execute(context.Background(), r, "TMPDIR=/tmp"); code != 0 {
		return nil, errors.New("shell does not start")
	}
	// Options last, or -x would show the line above.
	return r, interp.Params(sh.args...)(r)
}

// environ answers for every user's home, which the interpreter would otherwise
// look up on the host.
type environ struct{ expand.Environ }

func (e environ) Get(name string) expand.Variable {
	if strings.HasPrefix(name, "HOME ") {
		return expand.Variable{Set: true, Kind: expand.String, Str: "/root"}
	}
	return e.Environ.Get(name)
}

// call looks at every simple command before it runs, builtins too: it bounds the
// script and rewrites the builtins that would look at the host's files.
func (sh session) call(ctx context.Context, args []string) ([]string, error) {
	if sh.j.calls.Add(1) > sh.j.o.CallLimit {
		sh.j.kill(errKilled)
		return nil, errKilled
	}
	if tooDeep() {
		fmt.Fprintf(interp.HandlerCtx(ctx).Stderr, "bash: %s: maximum function nesting level exceeded\n", args[0])
		return nil, errKilled
	}
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case "source", ".":
		if len(args) > 1 {
			args = slices.Clone(args)
			args[1] = sh.disk.real(virtual(hc.Dir, args[1]))
		}
	case "eval":
		file, err := syntax.NewParser().Parse(strings.NewReader(strings.Join(args[1:], " ")), "")
		if err == nil && !modest(file) {
			return []string{"false"}, nil
		}
	case "pwd":
		return []string{"pwd"}, nil
	case "umask", "ulimit":
		return []string{"true"}, nil
	case "type", "hash", "command":
		rest := args[1:]
		if args[0] == "command" && (len(rest) == 0 || (rest[0] != "-v" && rest[0] != "-V")) {
			return args, nil
		}
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
			rest = rest[1:]
		}
		return append([]string{"which", "--" + args[0]}, rest...), nil
	}
	return args, nil
}

func (sh session) open(ctx context.Context, name string, flag int, perm fs.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	if f, ok := device(name, hc.Stdin, hc.Stdout, hc.Stderr); ok {
		return f, nil
	}
	if name == "" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := sh.disk.open(virtual(hc.Dir, name), flag, perm)
	return f, asPathError(name, err)
}

// asPathError keeps the interpreter going, which ends at any other kind of error,
// and makes it print the error as bash does.
func asPathError(name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: "bash:", Path: name, Err: errors.New(reason(err))}
}

func (sh session) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	return sh.disk.readDir(virtual(interp.HandlerCtx(ctx).Dir, name))
}

func (sh session) stat(_ context.Context, name string, follow bool) (fs.FileInfo, error) {
	if follow {
		return sh.disk.stat(name)
	}
	return sh.disk.lstat(name)
}

func (sh session) access(_ context.Context, name string, mode interp.AccessMode) error {
	info, err := sh.disk.stat(name)
	if err != nil {
		return err
	}
	if mode&interp.AccessExec != 0 && !info.IsDir() && info.Mode()&0o111 == 0 {
		return fs.ErrPermission
	}
	return nil
}

// device serves the few files of /dev that scripts use.
func device(name string, in io.Reader, out, errw io.Writer) (io.ReadWriteCloser, bool) {
	switch name {
	case "/dev/null":
		return stream{strings.NewReader(""), io.Discard}, true
	case "/dev/stdin", "/dev/fd/0":
		if in == nil {
			in = strings.NewReader("")
		}
		return stream{in, io.Discard}, true
	case "/dev/stdout", "/dev/fd/1":
		return stream{strings.NewReader(""), out}, true
	case "/dev/stderr", "/dev/fd/2", "/dev/tty":
		return stream{strings.NewReader(""), errw}, true
	case "/dev/urandom", "/dev/random":
		return stream{io.LimitReader(rand.NewChaCha8([32]byte{1}), 1<<20), io.Discard}, true
	case "/dev/zero":
		return stream{io.LimitReader(zeros{}, 1<<20), io.Discard}, true
	}
	return nil, false
}

type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func pairs(env map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}
