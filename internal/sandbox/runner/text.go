package runner

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

var textCommands = map[string]command{
	"tr": cmdTr, "cut": cmdCut, "head": cmdHead, "tail": cmdHead, "sort": cmdSort, "uniq": cmdUniq, "wc": cmdWc, "seq": cmdSeq,
	"sed": cmdSed, "grep": cmdGrep, "egrep": cmdGrep, "fgrep": cmdGrep, "awk": cmdAwk, "rev": cmdRev, "base64": cmdBase64,
	"sha256sum": sum(sha256.New), "sha1sum": sum(sha1.New), "md5sum": sum(md5.New), "diff": cmdDiff, "cmp": cmdDiff, "expr": cmdExpr,
}

func isBuiltin(name string) bool { return interp.IsBuiltin(name) }

func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		q, err := syntax.Quote(w, syntax.LangBash)
		if err != nil {
			q = "''"
		}
		out[i] = q
	}
	return strings.Join(out, " ")
}

// lines reads the named files, or standard input, as lines.
func (c *call) lines(files []string) ([]string, bool) {
	if len(files) == 0 {
		files = []string{"-"}
	}
	var out []string
	for _, name := range files {
		b, err := c.readFile(name)
		if err != nil {
			c.fail("%s: %s: %s", c.name, name, reason(err))
			return nil, false
		}
		if len(b) > 0 {
			out = append(out, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
		}
	}
	return out, true
}

func (c *call) print(lines []string) int {
	w := bufio.NewWriter(c.out)
	for _, l := range lines {
		w.WriteString(l)
		w.WriteByte('\n')
	}
	w.Flush()
	return 0
}

// charset opens ranges and classes of tr.
func charset(s string) []rune {
	s = strings.NewReplacer("[:lower:]", "a-z", "[:upper:]", "A-Z", "[:digit:]", "0-9", "[:alnum:]", "a-zA-Z0-9", "[:alpha:]", "a-zA-Z",
		"[:space:]", " \t\n\r", `\n`, "\n", `\t`, "\t", `\r`, "\r", `\\`, `\`).Replace(s)
	in := []rune(s)
	var out []rune
	for i := 0; i < len(in); i++ {
		if i+2 < len(in) && in[i+1] == '-' && in[i+2] >= in[i] && in[i+2]-in[i] < 1<<16 {
			for r := in[i]; r <= in[i+2]; r++ {
				out = append(out, r)
			}
			i += 2
			continue
		}
		out = append(out, in[i])
	}
	return out
}

func cmdTr(c *call) int {
	given, sets := flags(c.args, "")
	if len(sets) == 0 {
		return c.fail("tr: missing operand")
	}
	from := charset(sets[0])
	var to []rune
	if len(sets) > 1 {
		to = charset(sets[1])
	}
	complement := has(given, "-c", "-C", "--complement")
	var prev rune = -1
	out := strings.Map(func(r rune) rune {
		i := slices.Index(from, r)
		match := (i >= 0) != complement
		result := r
		switch {
		case match && has(given, "-d", "--delete"):
			return -1
		case match && len(to) > 0:
			if complement || i >= len(to) {
				i = len(to) - 1
			}
			result = to[i]
		}
		if match && has(given, "-s", "--squeeze-repeats") && result == prev {
			return -1
		}
		if prev = -1; match {
			prev = result
		}
		return result
	}, string(c.stdin()))
	c.printf("%s", out)
	return 0
}

func cmdCut(c *call) int {
	given, files := flags(c.args, "-d -f -c -b --delimiter --fields --characters")
	list, chars := last(given, "-f", "--fields"), last(given, "-c", "-b", "--characters")
	delimiter := last(given, "-d", "--delimiter")
	if delimiter == "" {
		delimiter = "\t"
	}
	if chars != "" {
		list, delimiter = chars, ""
	}
	var keep []func(int) bool
	for _, part := range strings.Split(list, ",") {
		a, b, span := strings.Cut(part, "-")
		from, _ := strconv.Atoi(a)
		to, _ := strconv.Atoi(b)
		if !span {
			to = from
		}
		if from == 0 && to == 0 {
			return c.fail("cut: invalid field value '%s'", list)
		}
		open := span && b == ""
		keep = append(keep, func(i int) bool { return i >= from && (open || i <= to) })
	}
	lines, ok := c.lines(files)
	if !ok {
		return 1
	}
	for i, line := range lines {
		parts := strings.Split(line, delimiter)
		if delimiter != "" && len(parts) == 1 {
			continue
		}
		var kept []string
		for k, p := range parts {
			if slices.ContainsFunc(keep, func(f func(int) bool) bool { return f(k + 1) }) {
				kept = append(kept, p)
			}
		}
		lines[i] = strings.Join(kept, delimiter)
	}
	return c.print(lines)
}

func cmdHead(c *call) int {
	args := slices.Clone(c.args)
	for i, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			args[i] = "-n" + a[1:]
		}
	}
	given, files := flags(args, "-n -c --lines --bytes")
	if v := last(given, "-c", "--bytes"); v != "" {
		n, _ := strconv.Atoi(v)
		b, err := c.readFile(append(files, "-")[0])
		if err != nil {
			return c.fail("%s: %s", c.name, reason(err))
		}
		n = min(max(n, 0), len(b))
		if c.name == "head" {
			b = b[:n]
		} else {
			b = b[len(b)-n:]
		}
		c.out.Write(b)
		return 0
	}
	lines, ok := c.lines(files)
	if !ok {
		return 1
	}
	value := last(given, "-n", "--lines")
	if value == "" {
		value = "10"
	}
	n, err := strconv.Atoi(strings.TrimPrefix(value, "+"))
	if err != nil {
		return c.fail("%s: invalid number of lines: '%s'", c.name, value)
	}
	switch {
	case c.name == "head" && n < 0:
		lines = lines[:max(len(lines)+n, 0)]
	case c.name == "head":
		lines = lines[:min(n, len(lines))]
	case strings.HasPrefix(value, "+"):
		lines = lines[min(max(n-1, 0), len(lines)):]
	default:
		lines = lines[max(len(lines)-max(n, -n), 0):]
	}
	return c.print(lines)
}

func cmdSort(c *call) int {
	given, files := flags(c.args, "-k -t")
	lines, ok := c.lines(files)
	if !ok {
		return 1
	}
	number := func(s string) int {
		n, _ := strconv.Atoi(regexp.MustCompile(`^\s*-?\d+`).FindString(s))
		return n
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		if has(given, "-n", "-V") {
			if d := number(a) - number(b); d != 0 {
				return d
			}
		}
		return strings.Compare(a, b)
	})
	if has(given, "-u") {
		lines = slices.Compact(lines)
	}
	if has(given, "-r") {
		slices.Reverse(lines)
	}
	return c.print(lines)
}

func cmdUniq(c *call) int {
	_, files := flags(c.args, "")
	lines, ok := c.lines(files)
	if !ok {
		return 1
	}
	return c.print(slices.Compact(lines))
}

func cmdWc(c *call) int {
	given, files := flags(c.args, "")
	b, err := c.readFile(append(files, "-")[0])
	if err != nil {
		return c.fail("wc: %s", reason(err))
	}
	counts := map[string]int{"-l": bytes.Count(b, []byte("\n")), "-w": len(bytes.Fields(b)), "-c": len(b), "-m": len([]rune(string(b)))}
	var out []string
	for _, f := range []string{"-l", "-w", "-c", "-m"} {
		if has(given, f) || len(given) == 0 && f != "-m" {
			out = append(out, fmt.Sprint(counts[f]))
		}
	}
	c.printf("%s\n", strings.Join(append(out, files...), " "))
	return 0
}

func cmdSeq(c *call) int {
	n := []int{1, 1, 0}
	var given []int
	for _, a := range c.args {
		v, err := strconv.Atoi(a)
		if err != nil {
			return c.fail("seq: invalid argument: '%s'", a)
		}
		given = append(given, v)
	}
	switch len(given) {
	case 1:
		n[2] = given[0]
	case 2:
		n[0], n[2] = given[0], given[1]
	case 3:
		n = given
	default:
		return c.fail("seq: missing operand")
	}
	if n[1] == 0 || (n[2]-n[0])/n[1] > 1_000_000 {
		return c.fail("seq: too many numbers")
	}
	for i := n[0]; n[1] > 0 && i <= n[2] || n[1] < 0 && i >= n[2]; i += n[1] {
		c.printf("%d\n", i)
	}
	return 0
}

func cmdRev(c *call) int {
	lines, ok := c.lines(c.args)
	if !ok {
		return 1
	}
	for i, l := range lines {
		r := []rune(l)
		slices.Reverse(r)
		lines[i] = string(r)
	}
	return c.print(lines)
}

func sum(h func() hash.Hash) command {
	return func(c *call) int {
		_, files := flags(c.args, "")
		if len(files) == 0 {
			files = []string{"-"}
		}
		for _, name := range files {
			b, err := c.readFile(name)
			if err != nil {
				return c.fail("%s: %s: %s", c.name, name, reason(err))
			}
			s := h()
			s.Write(b)
			c.printf("%x  %s\n", s.Sum(nil), name)
		}
		return 0
	}
}

func cmdDiff(c *call) int {
	given, files := flags(c.args, "-U")
	if len(files) != 2 {
		return c.fail("%s: missing operand", c.name)
	}
	a, err1 := c.readFile(files[0])
	b, err2 := c.readFile(files[1])
	if err1 != nil || err2 != nil {
		c.fail("%s: cannot read files", c.name)
		return 2
	}
	if bytes.Equal(a, b) {
		return 0
	}
	if !has(given, "-q", "-s") {
		c.printf("%s and %s differ\n", files[0], files[1])
	}
	return 1
}

func cmdExpr(c *call) int {
	if len(c.args) != 3 {
		return c.fail("expr: syntax error")
	}
	a, err1 := strconv.Atoi(c.args[0])
	b, err2 := strconv.Atoi(c.args[2])
	result := 0
	switch op := c.args[1]; {
	case err1 != nil || err2 != nil:
		return c.fail("expr: non-integer argument")
	case op == "+":
		result = a + b
	case op == "-":
		result = a - b
	case op == "*":
		result = a * b
	case (op == "/" || op == "%") && b == 0:
		return c.fail("expr: division by zero")
	case op == "/":
		result = a / b
	case op == "%":
		result = a % b
	default:
		return c.fail("expr: syntax error")
	}
	c.printf("%d\n", result)
	if result == 0 {
		return 1
	}
	return 0
}
