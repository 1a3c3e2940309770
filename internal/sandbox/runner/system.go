package runner

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var systemCommands = map[string]command{
	"env": cmdEnv, "printenv": cmdPrintenv, "date": cmdDate, "sleep": cmdSleep, "which": cmdWhich, "timeout": cmdTimeout,
	"nohup": cmdPass, "sudo": cmdPass, "nice": cmdPass, "time": cmdPass, "xargs": cmdXargs, "sync": cmdOK, "clear": cmdOK,
	"whoami": say("root"), "id": cmdID, "hostname": say("runner-sandbox"), "uname": cmdUname, "nproc": say("2"), "tty": say("not a tty"),
}

func cmdOK(*call) int { return 0 }

func say(text string) command { return func(c *call) int { c.printf("%s\n", text); return 0 } }

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
