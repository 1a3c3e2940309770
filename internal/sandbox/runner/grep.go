package runner

import (
	"regexp"
	"strconv"
	"strings"
)

func cmdGrep(c *call) int {
	given, rest := flags(c.args, "-e -m -A -B -C")
	pattern := last(given, "-e")
	if pattern == "" {
		if len(rest) == 0 {
			c.fail("grep: missing pattern")
			return 2
		}
		pattern, rest = rest[0], rest[1:]
	}
	expression := basicRegexp(pattern)
	switch {
	case has(given, "-F") || c.name == "fgrep":
		expression = regexp.QuoteMeta(pattern)
	case has(given, "-E", "-P") || c.name == "egrep":
		expression = pattern
	}
	if has(given, "-w") {
		expression = `\b(?:` + expression + `)\b`
	}
	if has(given, "-x") {
		expression = `^(?:` + expression + `)$`
	}
	if has(given, "-i") {
		expression = "(?i)" + expression
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		c.fail("grep: %s", err)
		return 2
	}
	lines, ok := c.lines(rest)
	if !ok {
		return 2
	}
	var out []string
	for _, l := range lines {
		if re.MatchString(l) != has(given, "-v") {
			if has(given, "-o") {
				out = append(out, re.FindAllString(l, -1)...)
			} else {
				out = append(out, l)
			}
		}
	}
	switch {
	case has(given, "-c"):
		c.printf("%d\n", len(out))
	case has(given, "-l") && len(out) > 0 && len(rest) > 0:
		c.printf("%s\n", rest[0])
	case !has(given, "-q", "--quiet", "--silent"):
		c.print(out)
	}
	if len(out) == 0 {
		return 1
	}
	return 0
}

// basicRegexp turns POSIX's basic syntax into the extended one: there the
// escaped operators are the active ones.
func basicRegexp(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			if !strings.ContainsRune("(){}|+?", rune(s[i])) {
				b.WriteByte('\\')
			}
			b.WriteByte(s[i])
		case strings.ContainsRune("(){}|+?", rune(s[i])):
			b.WriteByte('\\')
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

var awkPrint = regexp.MustCompile(`^\s*(?:/(.*)/)?\s*\{\s*print\s*([^}]*)\}\s*$`)

// cmdAwk knows one program: print, with fields and strings.
func cmdAwk(c *call) int {
	given, rest := flags(c.args, "-F -v")
	if len(rest) == 0 {
		return c.fail("awk: no program")
	}
	m := awkPrint.FindStringSubmatch(rest[0])
	if m == nil {
		c.fail("awk: only { print … } is available here: %s", rest[0])
		return 2
	}
	filter, err := regexp.Compile(m[1])
	if err != nil {
		c.fail("awk: %s", err)
		return 2
	}
	lines, ok := c.lines(rest[1:])
	if !ok {
		return 2
	}
	var out []string
	for _, l := range lines {
		if !filter.MatchString(l) {
			continue
		}
		fields := strings.Fields(l)
		if f := last(given, "-F"); f != "" {
			fields = strings.Split(l, f)
		}
		var words []string
		for _, expr := range strings.Split(m[2], ",") {
			words = append(words, awkWord(strings.TrimSpace(expr), l, fields))
		}
		out = append(out, strings.Join(words, " "))
	}
	return c.print(out)
}

var awkToken = regexp.MustCompile(`"[^"]*"|\$NF|\$\d+|NF`)

func awkWord(expr, line string, fields []string) string {
	if expr == "" {
		return line
	}
	field := func(n int) string {
		if n == 0 {
			return line
		}
		if n < 0 || n > len(fields) {
			return ""
		}
		return fields[n-1]
	}
	var b strings.Builder
	for _, t := range awkToken.FindAllString(expr, -1) {
		switch {
		case t[0] == '"':
			b.WriteString(strings.Trim(t, `"`))
		case t == "NF":
			b.WriteString(strconv.Itoa(len(fields)))
		case t == "$NF":
			b.WriteString(field(len(fields)))
		default:
			n, _ := strconv.Atoi(t[1:])
			b.WriteString(field(n))
		}
	}
	return b.String()
}
