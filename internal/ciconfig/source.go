package ciconfig

import (
	"bytes"
	"sort"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// source is a file with the positions of its lines.
type source struct {
	path     string
	data     []byte
	editable bool
	was      *moved         // how an earlier pass moved the bytes, nil at first
	read     offsets        // the expansions that were evaluated
	filled   offsets        // those of them that a value was put in for
	puts     map[int][]text // what each of them puts in, nil where nobody asks
	starts   []int          // offset of the first byte of each line, as YAML counts lines
	last     spot           // the one whose offset was asked for last

	parsed     bool // see parsed.go
	dockerRead bool
	docs       []*yaml.Node
	invalid    error
	scalars    map[*yaml.Node]*chunk
	all        *chunk

	settings []makeSetting   // see makefile.go
	exports  [][]string      // see newMakefile
	rules    []makeStatement // see makecall.go

	bash      *syntax.Parser
	docker    *parser.Node // see dockerfile.go
	scripts   map[string]*syntax.File
	hclRead   bool
	hcl       *hclsyntax.Body
	described []span        // see describes
	bare      map[span]bool // expressions outside of HCL's strings
}

var bom = []byte("\xef\xbb\xbf")

func newSource(path string, data []byte, editable bool) *source {
	s := &source{path: path, data: data, editable: editable}
	first := 0
	if bytes.HasPrefix(data, bom) {
		first = len(bom)
	}
	s.starts = append(make([]int, 0, 2+bytes.Count(data, []byte("\n"))), first)
	if len(data) > maxFile { // refused where it is read; its lines are nobody's business
		return s
	}
	for i := first; i < len(data); {
		switch data[i] {
		case '\n', '\r', 0xc2, 0xe2:
		default:
			i++
			continue
		}
		w := lineBreak(data[i:])
		if w == 0 {
			i++
			continue
		}
		i += w
		s.starts = append(s.starts, i)
	}
	return s
}

// lineBreak returns the width of the line break that b starts with, or 0. YAML
// 1.1 also breaks lines at NEL, LS and PS.
func lineBreak(b []byte) int {
	switch b[0] {
	case '\n':
		return 1
	case '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case 0xc2:
		if len(b) > 1 && b[1] == 0x85 {
			return 2
		}
	case 0xe2:
		if len(b) > 2 && b[1] == 0x80 && (b[2] == 0xa8 || b[2] == 0xa9) {
			return 3
		}
	}
	return 0
}

// offset turns a line and a column (both from 1, the column in characters)
// into a byte offset.
func (s *source) offset(line, column int) int {
	if line < 1 || line > len(s.starts) {
		return len(s.data)
	}
	at := spot{line: line, column: 1, offset: s.starts[line-1]}
	if s.last.line == line && s.last.column <= column { // a line may be long, and have many values
		at = s.last
	}
	for ; at.column < column && at.offset < len(s.data); at.column++ {
		_, w := utf8.DecodeRune(s.data[at.offset:])
		at.offset += w
	}
	s.last = at
	return at.offset
}

// spot is a line and a column, both from 1, with their byte offset.
type spot struct{ line, column, offset int }

// position is the line and column, both from 1, of a byte offset.
func (s *source) position(offset int) (line, column int) {
	n := sort.SearchInts(s.starts, offset+1) - 1
	n = max(n, 0)
	start := min(s.starts[n], offset)
	return n + 1, utf8.RuneCount(s.data[start:min(offset, len(s.data))]) + 1
}

// line returns the bounds of the line that holds the offset, the line break
// included in end.
func (s *source) line(offset int) (start, end int) {
	n := max(sort.SearchInts(s.starts, offset+1)-1, 0)
	start = s.starts[n]
	if n+1 < len(s.starts) {
		return start, s.starts[n+1]
	}
	return start, len(s.data)
}

// lineAt is the text of the line with a position.
func (s *source) lineAt(offset int) []byte {
	from, to := s.line(offset)
	return s.data[from:to]
}

// eol is the line break that the file uses.
func (s *source) eol() string {
	if bytes.Contains(s.data, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// span is a run of bytes of a source.
type span struct {
	src        *source
	start, end int
}

func (s span) text() string {
	if s.src == nil {
		return ""
	}
	return string(s.src.data[s.start:s.end])
}

// path is the file that the span lies in, "" for a value from elsewhere.
func (s span) path() string {
	if s.src == nil {
		return ""
	}
	return s.src.path
}

// within says whether s lies inside t.
func (s span) within(t span) bool {
	return s.src == t.src && t.start <= s.start && s.end <= t.end
}
