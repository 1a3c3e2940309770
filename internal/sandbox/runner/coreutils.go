package runner

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

var fileCommands = map[string]command{
	"cat": cmdCat, "mkdir": cmdMkdir, "rmdir": cmdRm, "cp": cmdCp, "mv": cmdMv, "rm": cmdRm, "ls": cmdLs, "ln": cmdLn,
	"touch": cmdTouch, "chmod": cmdChmod, "chown": cmdOK, "install": cmdInstall, "mktemp": cmdMktemp, "find": cmdFind, "tee": cmdTee,
	"basename": cmdBasename, "dirname": cmdDirname, "realpath": cmdRealpath, "readlink": cmdRealpath, "stat": cmdStat,
}

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
		} else if _, err = c.disk.stat(path.Dir(to)); err == nil {
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
