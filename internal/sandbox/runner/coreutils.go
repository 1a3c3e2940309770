package runner

import (
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

var fileCommands = map[string]command{
	"cat": cmdCat, "mkdir": cmdMkdir, "rmdir": cmdRm, "cp": cmdCp, "mv": cmdMv, "rm": cmdRm, "ls": cmdLs, "ln": cmdLn,
	"touch": cmdTouch, "chmod": cmdChmod, "chown": cmdOK, "install": cmdInstall, "mktemp": cmdMktemp, "find": cmdFind, "tee": cmdTee,
	"basename": cmdBasename, "dirname": cmdDirname, "realpath": cmdRealpath, "readlink": cmdRealpath, "stat": cmdStat,
}

var systemCommands = map[string]command{
	"env": cmdEnv, "printenv": cmdPrintenv, "date": cmdDate, "sleep": cmdSleep, "which": cmdWhich, "timeout": cmdTimeout,
	"nohup": cmdPass, "sudo": cmdPass, "nice": cmdPass, "time": cmdPass, "xargs": cmdXargs, "sync": cmdOK, "clear": cmdOK,
	"whoami": say("root"), "id": cmdID, "hostname": say("runner-sandbox"), "uname": cmdUname, "nproc": say("2"), "tty": say("not a tty"),
}

// flags splits arguments into short and long flags and the rest. valued names
// the flags that take an argument.
func flags(args []string, valued string) (given map[string][]string, rest []string) {
	given = map[string][]string{}
	takes := set(valued)
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return given, append(rest, args[i+1:]...)
		case len(a) < 2 || a[0] != '-':
			rest = append(rest, a)
		case takes[a] && i+1 < len(args):
			i++
			given[a] = append(given[a], args[i])
		case strings.HasPrefix(a, "--"):
			name, value, _ := strings.Cut(a, "=")
			given[name] = append(given[name], value)
		case takes[a[:2]]:
			given[a[:2]] = append(given[a[:2]], a[2:])
		default:
			for k, o := range a[1:] {
				name := "-" + string(o)
				value := ""
				if takes[name] { // the rest of the word, or the next one
					if value = a[1+k+1:]; value == "" && i+1 < len(args) {
						i++
						value = args[i]
					}
				}
				given[name] = append(given[name], value)
				if takes[name] {
					break
				}
			}
		}
	}
	return given, rest
}

func has(given map[string][]string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return len(given[n]) > 0 })
}

// last returns the value of a flag given under one of several names.
func last(given map[string][]string, names ...string) string {
	for _, n := range names {
		if v := given[n]; len(v) > 0 {
			return v[len(v)-1]
		}
	}
	return ""
}

func all(given map[string][]string, names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, given[n]...)
	}
	return out
}

func cmdOK(*call) int { return 0 }

func say(text string) command { return func(c *call) int { c.printf("%s\n", text); return 0 } }

func cmdCat(c *call) int {
	_, files := flags(c.args, "")
	if len(files) == 0 {
		files = []string{"-"}
	}
	code := 0
	for _, name := range files {
		f, err := c.open(name)
		if err == nil {
			_, err = io.Copy(c.out, io.LimitReader(f, maxRead))
			f.Close()
		}
		if err != nil {
			code = c.fail("cat: %s: %s", name, reason(err))
		}
	}
	return code
}

func cmdMkdir(c *call) int {
	given, dirs := flags(c.args, "-m --mode")
	code := 0
	for _, dir := range dirs {
		var err error
		if has(given, "-p", "--parents") {
			err = c.disk.mkdirAll(c.path(dir))
		} else {
			err = c.disk.root.Mkdir(c.disk.rel(c.path(dir)), 0o755)
		}
		if err != nil {
			code = c.fail("mkdir: can't create directory '%s': %s", dir, reason(err))
		}
	}
	return code
}

func cmdRm(c *call) int {
	given, names := flags(c.args, "")
	recursive, force := has(given, "-r", "-R", "--recursive"), has(given, "-f", "--force")
	code := 0
	for _, name := range names {
		rel := c.disk.rel(c.path(name))
		info, err := c.disk.root.Lstat(rel)
		switch {
		case err != nil && force:
			continue
		case err == nil && info.IsDir() && !recursive && c.name != "rmdir":
			code = c.fail("rm: cannot remove '%s': Is a directory", name)
			continue
		case err == nil && rel == ".":
			err = fs.ErrPermission
		case err == nil && recursive:
			err = c.disk.root.RemoveAll(rel)
		case err == nil:
			err = c.disk.root.Remove(rel)
		}
		if err != nil {
			code = c.fail("%s: cannot remove '%s': %s", c.name, name, reason(err))
		}
	}
	return code
}

// target is where cp and mv put a source.
func (c *call) target(dest, source string) string {
	if info, err := c.disk.stat(c.path(dest)); err == nil && info.IsDir() {
		return path.Join(c.path(dest), path.Base(c.path(source)))
	}
	return c.path(dest)
}

func cmdCp(c *call) int {
	given, names := flags(c.args, "-t")
	if len(names) < 2 {
		return c.fail("cp: missing destination file operand")
	}
	dest := names[len(names)-1]
	for _, source := range names[:len(names)-1] {
		info, err := c.disk.stat(c.path(source))
		if err != nil {
			return c.fail("cp: cannot stat '%s': %s", source, reason(err))
		}
		to := c.target(dest, source)
		if strings.HasSuffix(source, "/.") {
			to = c.path(dest)
		}
		if info.IsDir() {
			if !has(given, "-r", "-R", "-a", "--recursive", "--archive") {
				return c.fail("cp: -r not specified; omitting directory '%s'", source)
			}
			from := c.path(source)
			if to == from || strings.HasPrefix(to, from+"/") {
				return c.fail("cp: cannot copy a directory, '%s', into itself", source)
			}
			err = c.disk.mkdirAll(to)
			if err == nil {
				err = c.disk.walk(from, func(name string, info fs.FileInfo) error {
					return c.copyFile(path.Join(from, name), path.Join(to, name), info)
				})
			}
		} else {
			err = c.copyFile(c.path(source), to, info)
		}
		if err != nil {
			return c.fail("cp: %s: %s", source, reason(err))
		}
	}
	return 0
}

func (c *call) copyFile(from, to string, info fs.FileInfo) error {
	content, err := c.disk.read(from)
	if err != nil {
		return err
	}
	if _, err := c.disk.stat(path.Dir(to)); err != nil && !strings.HasPrefix(from, "/") {
		return err
	}
	return c.disk.write(to, content, info.Mode().Perm())
}

func cmdMv(c *call) int {
	_, names := flags(c.args, "")
	if len(names) < 2 {
		return c.fail("mv: missing destination file operand")
	}
	dest := names[len(names)-1]
	for _, source := range names[:len(names)-1] {
		if err := c.disk.root.Rename(c.disk.rel(c.path(source)), c.disk.rel(c.target(dest, source))); err != nil {
			return c.fail("mv: cannot move '%s': %s", source, reason(err))
		}
	}
	return 0
}

func cmdInstall(c *call) int {
	given, rest := flags(c.args, "-m --mode -o -g")
	if has(given, "-d") {
		return cmdMkdir(c.with("mkdir", append([]string{"-p"}, rest...)...))
	}
	return cmdCp(c.with("cp", rest...))
}

func cmdLs(c *call) int {
	given, names := flags(c.args, "")
	if len(names) == 0 {
		names = []string{"."}
	}
	code := 0
	for _, name := range names {
		info, err := c.disk.stat(c.path(name))
		if err != nil {
			fmt.Fprintf(c.err, "ls: cannot access '%s': %s\n", name, reason(err))
			code = 2
			continue
		}
		if !info.IsDir() || has(given, "-d") {
			c.lsLine(given, name, info)
			continue
		}
		entries, err := c.disk.readDir(c.path(name))
		if err != nil {
			code = c.fail("ls: %s: %s", name, reason(err))
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && !has(given, "-a", "-A") {
				continue
			}
			if info, err := e.Info(); err == nil {
				c.lsLine(given, e.Name(), info)
			}
		}
	}
	return code
}

func (c *call) lsLine(given map[string][]string, name string, info fs.FileInfo) {
	if has(given, "-l") {
		c.printf("%s 1 root root %8d %s ", info.Mode(), info.Size(), info.ModTime().UTC().Format("Jan _2 15:04"))
	}
	c.printf("%s\n", name)
}

func cmdLn(c *call) int {
	given, names := flags(c.args, "")
	if len(names) < 1 || !has(given, "-s", "--symbolic") {
		return c.fail("ln: hard links are not supported here")
	}
	dest := path.Base(names[0])
	if len(names) > 1 {
		dest = names[1]
	}
	to := c.target(dest, names[0])
	if has(given, "-f") {
		_ = c.disk.root.Remove(c.disk.rel(to))
	}
	if err := c.disk.root.Symlink(names[0], c.disk.rel(to)); err != nil {
		return c.fail("ln: failed to create symbolic link '%s': %s", dest, reason(err))
	}
	return 0
}

func cmdTouch(c *call) int {
	_, names := flags(c.args, "-d -r -t")
	for _, name := range names {
		f, err := c.disk.open(c.path(name), os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return c.fail("touch: cannot touch '%s': %s", name, reason(err))
		}
		f.Close()
	}
	return 0
}

func cmdChmod(c *call) int {
	if len(c.args) < 2 {
		return c.fail("chmod: missing operand")
	}
	args := c.args
	for len(args) > 0 && (args[0] == "-R" || args[0] == "-v") {
		args = args[1:]
	}
	for _, name := range args[1:] {
		info, err := c.disk.stat(c.path(name))
		if err == nil {
			mode := info.Mode().Perm()
			if n, err := strconv.ParseUint(args[0], 8, 32); err == nil {
				mode = fs.FileMode(n) & 0o777
			} else if strings.Contains(args[0], "+") && strings.Contains(args[0], "x") {
				mode |= 0o111
			} else if strings.Contains(args[0], "-") && strings.Contains(args[0], "x") {
				mode &^= 0o111
			}
			err = c.disk.root.Chmod(c.disk.rel(c.path(name)), mode|0o600)
		}
		if err != nil {
			return c.fail("chmod: cannot access '%s': %s", name, reason(err))
		}
	}
	return 0
}

func cmdMktemp(c *call) int {
	given, _ := flags(c.args, "-p -t")
	name := fmt.Sprintf("/tmp/tmp.%010d", c.j.calls.Load())
	var err error
	if has(given, "-d") {
		err = c.disk.mkdirAll(name)
	} else {
		err = c.disk.write(name, nil, 0o600)
	}
	if err != nil {
		return c.fail("mktemp: %s", reason(err))
	}
	c.printf("%s\n", name)
	return 0
}

func cmdFind(c *call) int {
	var dirs []string
	args := c.args
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		dirs, args = append(dirs, args[0]), args[1:]
	}
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	pattern, kind := "*", ""
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-name" && i+1 < len(args):
			i++
			pattern = args[i]
		case args[i] == "-type" && i+1 < len(args):
			i++
			kind = args[i]
		case args[i] == "-print":
		default:
			return c.fail("find: unrecognized: %s", args[i])
		}
	}
	for _, dir := range dirs {
		start := c.disk.rel(c.path(dir))
		err := fs.WalkDir(c.disk.root.FS(), start, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if ok, _ := path.Match(pattern, e.Name()); ok && (kind == "" || kind == "f" && e.Type().IsRegular() || kind == "d" && e.IsDir()) {
				rest := strings.TrimPrefix(p, start)
				if start == "." && p != "." {
					rest = "/" + p
				}
				c.printf("%s\n", dir+rest)
			}
			return nil
		})
		if err != nil {
			return c.fail("find: '%s': %s", dir, reason(err))
		}
	}
	return 0
}

func cmdTee(c *call) int {
	given, names := flags(c.args, "")
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if has(given, "-a", "--append") {
		mode = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	writers := []io.Writer{c.out}
	for _, name := range names {
		if f, ok := device(name, c.in, c.out, c.err); ok {
			writers = append(writers, f)
			continue
		}
		f, err := c.disk.open(c.path(name), mode, 0o644)
		if err != nil {
			return c.fail("tee: %s: %s", name, reason(err))
		}
		defer f.Close()
		writers = append(writers, f)
	}
	if _, err := io.Copy(io.MultiWriter(writers...), io.LimitReader(c.in, maxRead)); err != nil {
		return c.fail("tee: %s", reason(err))
	}
	return 0
}

func cmdBasename(c *call) int {
	if len(c.args) == 0 {
		return c.fail("basename: missing operand")
	}
	base := path.Base(c.args[0])
	if len(c.args) > 1 && base != c.args[1] {
		base = strings.TrimSuffix(base, c.args[1])
	}
	c.printf("%s\n", base)
	return 0
}

func cmdDirname(c *call) int {
	if len(c.args) == 0 {
		return c.fail("dirname: missing operand")
	}
	for _, a := range c.args {
		c.printf("%s\n", path.Dir(strings.TrimRight(a, "/")))
	}
	return 0
}

func cmdRealpath(c *call) int {
	_, names := flags(c.args, "")
	for _, name := range names {
		if _, err := c.disk.stat(c.path(name)); err != nil {
			return c.fail("%s: %s: %s", c.name, name, reason(err))
		}
		c.printf("%s\n", c.path(name))
	}
	return 0
}

func cmdStat(c *call) int {
	given, names := flags(c.args, "-c --format")
	for _, name := range names {
		info, err := c.disk.stat(c.path(name))
		if err != nil {
			return c.fail("stat: cannot stat '%s': %s", name, reason(err))
		}
		format := last(given, "-c", "--format")
		if format == "" {
			format = "File: %n Size: %s"
		}
		c.printf("%s\n", strings.NewReplacer("%n", name, "%s", fmt.Sprint(info.Size()), "%a", fmt.Sprintf("%o", info.Mode().Perm())).Replace(format))
	}
	return 0
}

func cmdEnv(c *call) int {
	env, args := c.exported(), c.args
	for len(args) > 0 {
		switch k, v, ok := strings.Cut(args[0], "="); {
		case args[0] == "-i" || args[0] == "-":
			clear(env)
		case args[0] == "-u" && len(args) > 1:
			delete(env, args[1])
			args = args[1:]
		case ok:
			env[k] = v
		default:
			sh := session{place: c.place, dir: c.dir, env: pairs(env), in: c.in, out: c.out, err: c.err, args: append([]string{"--"}, args...)}
			return sh.run(c.ctx, "env", `"$@"`)
		}
		args = args[1:]
	}
	for _, kv := range pairs(env) {
		c.printf("%s\n", kv)
	}
	return 0
}

func cmdPrintenv(c *call) int {
	env := c.exported()
	if len(c.args) == 0 {
		return cmdEnv(c)
	}
	code := 0
	for _, name := range c.args {
		if v, ok := env[name]; ok {
			c.printf("%s\n", v)
		} else {
			code = 1
		}
	}
	return code
}

// strftime holds what scripts use of date's formats.
var strftime = strings.NewReplacer("%Y", "2006", "%y", "06", "%m", "01", "%d", "02", "%H", "15", "%M", "04", "%S", "05",
	"%F", "2006-01-02", "%T", "15:04:05", "%Z", "UTC", "%z", "+0000", "%b", "Jan", "%a", "Mon", "%j", "002", "%e", "_2", "%%", "%")

func cmdDate(c *call) int {
	given, rest := flags(c.args, "-d --date -r")
	now := c.j.o.Clock.Now()
	if d := last(given, "-d", "--date"); strings.HasPrefix(d, "@") {
		if n, err := strconv.ParseInt(d[1:], 10, 64); err == nil {
			now = time.Unix(n, 0).UTC()
		}
	}
	format := "Mon Jan _2 15:04:05 UTC 2006"
	switch {
	case has(given, "-I", "--iso-8601", "-Iseconds"):
		format = "2006-01-02"
	case has(given, "-R"):
		format = time.RFC1123Z
	}
	if len(rest) > 0 && strings.HasPrefix(rest[0], "+") {
		text := strings.NewReplacer("%s", fmt.Sprint(now.Unix()), "%N", fmt.Sprintf("%09d", now.Nanosecond())).Replace(rest[0][1:])
		c.printf("%s\n", now.Format(strftime.Replace(text)))
		return 0
	}
	c.printf("%s\n", now.Format(format))
	return 0
}

// longestSleep bounds what a script waits for: nothing in here takes time.
const longestSleep = 20 * time.Millisecond

func cmdSleep(c *call) int {
	select {
	case <-c.ctx.Done():
	case <-time.After(longestSleep):
	}
	return 0
}

// cmdWhich is which, and type, hash and command -v, whose look-ups on the host
// the shell's call handler replaces by --type, --hash and --command.
func cmdWhich(c *call) int {
	args := c.args
	quiet := len(args) > 0 && args[0] == "--hash"
	code := 0
	for _, name := range args {
		if strings.HasPrefix(name, "-") {
			continue
		}
		where := "/usr/bin/" + name
		found := isBuiltin(name) || tools[name] && c.inside == nil || commands[name] != nil && c.available(name) || c.inside != nil && c.inside.has(name)
		if strings.Contains(name, "/") {
			info, err := c.disk.stat(c.path(name))
			found, where = err == nil && info.Mode()&0o111 != 0, name
		} else if isBuiltin(name) {
			where = name
		}
		switch {
		case !found:
			code = 1
		case !quiet:
			c.printf("%s\n", where)
		}
	}
	return code
}

func cmdTimeout(c *call) int {
	given, rest := flags(c.args, "-s -k")
	_ = given
	if len(rest) < 2 {
		return c.fail("timeout: missing operand")
	}
	return c.with(rest[1], rest[2:]...).run()
}

func cmdPass(c *call) int {
	args := c.args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if args[0] == "-u" || args[0] == "-n" {
			args = args[1:]
		}
		args = args[min(1, len(args)):]
	}
	if len(args) == 0 {
		return 0
	}
	return c.with(args[0], args[1:]...).run()
}

func cmdXargs(c *call) int {
	args, each := c.args, ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-I" && len(args) > 1:
			each = args[1]
			args = args[1:]
		case args[0] == "-n" && len(args) > 1 || args[0] == "-P" && len(args) > 1:
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{"echo"}
	}
	quote := func(words []string) string { return quoteAll(words) }
	sh := session{place: c.place, dir: c.dir, env: pairs(c.exported()), in: strings.NewReader(""), out: c.out, err: c.err}
	input := string(c.stdin())
	if each == "" {
		words := strings.Fields(input)
		return sh.run(c.ctx, "xargs", quote(append(slices.Clone(args), words...)))
	}
	for _, line := range strings.Split(strings.TrimRight(input, "\n"), "\n") {
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = strings.ReplaceAll(a, each, line)
		}
		if code := sh.run(c.ctx, "xargs", quote(words)); code != 0 {
			return 123
		}
	}
	return 0
}

func cmdID(c *call) int {
	if len(c.args) > 0 && strings.HasPrefix(c.args[0], "-") && strings.Contains(c.args[0], "n") {
		c.printf("root\n")
	} else if len(c.args) > 0 {
		c.printf("0\n")
	} else {
		c.printf("uid=0(root) gid=0(root) groups=0(root)\n")
	}
	return 0
}

func cmdUname(c *call) int {
	switch last(map[string][]string{"": c.args}, "") {
	case "-m":
		c.printf("x86_64\n")
	case "-a":
		c.printf("Linux runner-sandbox 6.1.0 x86_64 GNU/Linux\n")
	default:
		c.printf("Linux\n")
	}
	return 0
}

func cmdBase64(c *call) int {
	given, files := flags(c.args, "-w")
	if len(files) == 0 {
		files = []string{"-"}
	}
	b, err := c.readFile(files[0])
	if err != nil {
		return c.fail("base64: %s: %s", files[0], reason(err))
	}
	if has(given, "-d", "--decode") {
		plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(b)), ""))
		if err != nil {
			return c.fail("base64: invalid input")
		}
		c.out.Write(plain)
		return 0
	}
	c.printf("%s\n", base64.StdEncoding.EncodeToString(b))
	return 0
}
