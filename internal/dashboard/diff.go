package dashboard

import (
	"strings"

	"github.com/hexops/gotextdiff"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/internal/textdiff"
)

// file is what became of a file, as hunks of coloured lines.
type file struct {
	Path           string
	Added, Removed int
	Hunks          []hunk
}

type hunk struct{ Lines []diffLine }

// diffLine is a line of a diff; a number of 0 is a side that it is not on.
type diffLine struct {
	Class    string // same, plus, minus
	Sign     string
	Old, New int
	Text     []piece
}

// diffs compares files before and after.
func (s *server) diffs(changes []store.Inverse) []file {
	var out []file
	for _, c := range changes {
		before, after := string(c.Before), string(c.After)
		if s.Mask != nil {
			before, after = s.Mask(before), s.Mask(after)
		}
		unified := textdiff.Unified(c.Path, c.Path, before, after)
		f := file{Path: c.Path}
		language := languageOf(c.Path)
		for _, h := range unified.Hunks {
			old, new := h.FromLine, h.ToLine
			var lines []diffLine
			for _, l := range h.Lines {
				line := diffLine{Text: tokens(language, strings.TrimRight(l.Content, "\r\n"))}
				switch l.Kind {
				case gotextdiff.Delete:
					line.Class, line.Sign, line.Old = "minus", "−", old
					old++
					f.Removed++
				case gotextdiff.Insert:
					line.Class, line.Sign, line.New = "plus", "+", new
					new++
					f.Added++
				default:
					line.Class, line.Sign, line.Old, line.New = "same", " ", old, new
					old++
					new++
				}
				lines = append(lines, line)
			}
			f.Hunks = append(f.Hunks, hunk{lines})
		}
		out = append(out, f)
	}
	return out
}

// piece is a part of a line and what it is; class "" is plain text.
type piece struct{ Class, Text string }

type language int

const (
	plain language = iota
	yamlLike
	dockerfile
)

func languageOf(path string) language {
	name := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	switch {
	case strings.HasSuffix(name, ".yml"), strings.HasSuffix(name, ".yaml"):
		return yamlLike
	case strings.Contains(name, "dockerfile"), strings.Contains(name, "containerfile"):
		return dockerfile
	}
	return plain
}

// tokens cuts a line into what a reader's eye looks for: comments, keys or
// instructions, quoted texts and variables. It reads one line at a time and
// only colours, so what it can't know (block scalars over several lines, say)
// costs a colour at most; the text is always whole.
func tokens(l language, line string) []piece {
	if l == plain {
		return []piece{{"", line}}
	}
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	var out []piece
	add := func(class, text string) {
		switch n := len(out); {
		case text == "":
		case n > 0 && out[n-1].Class == class:
			out[n-1].Text += text
		default:
			out = append(out, piece{class, text})
		}
	}
	add("", line[:indent])
	rest := line[indent:]
	if strings.HasPrefix(rest, "#") {
		add("comment", rest)
		return out
	}
	for l == yamlLike && strings.HasPrefix(rest, "- ") {
		add("", "- ")
		rest = rest[2:]
	}
	if n := headOf(l, rest); n > 0 {
		add("key", rest[:n])
		rest = rest[n:]
	}
	for rest != "" {
		switch c := rest[0]; {
		case c == '#' && (len(out) == 0 || strings.HasSuffix(out[len(out)-1].Text, " ")):
			add("comment", rest)
			return out
		case c == '$':
			n := variable(rest)
			add("variable", rest[:n])
			rest = rest[n:]
		case c == '\'' || c == '"':
			n := strings.IndexByte(rest[1:], c) + 2
			if n < 2 || c == '\'' && len(out) > 0 && isWord(out[len(out)-1].Text) { // an apostrophe
				add("", rest[:1])
				rest = rest[1:]
				continue
			}
			quoted := rest[:n]
			for quoted != "" { // variables stand out within quotes, too
				i := strings.IndexByte(quoted, '$')
				if i < 0 || c == '\'' && l == dockerfile {
					add("string", quoted)
					break
				}
				add("string", quoted[:i])
				k := variable(quoted[i:])
				add("variable", quoted[i:i+k])
				quoted = quoted[i+k:]
			}
			rest = rest[n:]
		default:
			n := strings.IndexAny(rest[1:], "#$'\"") + 1
			if n == 0 {
				n = len(rest)
			}
			add("", rest[:n])
			rest = rest[n:]
		}
	}
	return out
}

// headOf is the length of a YAML key with its colon, or of a Dockerfile's instruction.
func headOf(l language, s string) int {
	if l == dockerfile {
		word, _, _ := strings.Cut(s, " ")
		if word != "" && word == strings.ToUpper(word) && strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			return len(word)
		}
		return 0
	}
	i := strings.Index(s, ":")
	if i <= 0 || i+1 < len(s) && s[i+1] != ' ' || strings.ContainsAny(s[:i], " $#{[,") {
		return 0
	}
	return i + 1
}

// variable is the length of a $variable or ${…} at the beginning of s.
func variable(s string) int {
	if strings.HasPrefix(s, "${") || strings.HasPrefix(s, "$[[") {
		closing := "}"
		if s[1] == '[' {
			closing = "]]"
		}
		if i := strings.Index(s, closing); i > 0 {
			return i + len(closing)
		}
	}
	n := 1
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

// isWord says whether a text ends in a letter.
func isWord(s string) bool {
	c := s[len(s)-1] | 0x20
	return c >= 'a' && c <= 'z'
}
