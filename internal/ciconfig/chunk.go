package ciconfig

import (
	"sort"

	"mvdan.cc/sh/v3/syntax"
)

// chunk is a decoded string that knows where each of its bytes was written: a
// YAML scalar, a shell file, a line of a Dockerfile.
type chunk struct {
	src  *source
	text string
	segs []segment

	recipe   bool // a line of a Makefile's recipe
	parsed   bool // see parsed.go
	script   *syntax.File
	literals map[*syntax.Word][]text // the words that mean the same in every run
	asking   map[*syntax.Stmt]bool   // see tests
}

// segment maps a run of decoded bytes to a run of source bytes. They are the
// same bytes, or an escape or a line break and what it stands for.
type segment struct {
	at, n      int // in chunk.text
	start, end int // in chunk.src
	same       bool
}

func (g segment) exact() bool { return g.same }

// whole is the chunk of a source's bytes from start to end, unchanged.
func whole(src *source, start, end int) *chunk {
	c := &chunk{src: src, text: string(src.data[start:end])}
	c.segs = []segment{{0, end - start, start, end, true}}
	return c
}

// add appends decoded text that was written at source bytes start to end.
func (c *chunk) add(b *[]byte, text string, start, end int) {
	at := len(*b)
	*b = append(*b, text...)
	same := string(c.src.data[start:end]) == text
	if n := len(c.segs); n > 0 && same {
		if last := &c.segs[n-1]; last.exact() && last.end == start && last.at+last.n == at {
			last.n += len(text)
			last.end = end
			return
		}
	}
	c.segs = append(c.segs, segment{at, len(text), start, end, same})
}

// pieces are the bytes from i to j with their origin.
func (c *chunk) pieces(i, j int) text {
	if p, ok := c.piece(i, j); ok {
		return text{p}
	}
	var out text
	k := c.segment(i)
	for ; k < len(c.segs) && c.segs[k].at < j; k++ {
		g := c.segs[k]
		from, to := max(i, g.at), min(j, g.at+g.n)
		if from >= to {
			continue
		}
		p := piece{text: c.text[from:to], at: span{c.src, g.start, g.end}}
		if g.exact() {
			p.at = span{c.src, g.start + from - g.at, g.start + to - g.at}
		}
		out = append(out, p)
	}
	return out
}

// piece are the bytes from i to j where they are one piece, as nearly always.
func (c *chunk) piece(i, j int) (p piece, ok bool) {
	if len(c.segs) != 1 || !c.segs[0].same {
		return p, false
	}
	g := c.segs[0]
	if i, j = max(i, g.at), min(j, g.at+g.n); i >= j {
		return p, false
	}
	return piece{text: c.text[i:j], at: span{c.src, g.start + i - g.at, g.start + j - g.at}}, true
}

// value are the bytes from i to j as the one value of a word.
func (c *chunk) value(i, j int) []text {
	if p, ok := c.piece(i, j); ok {
		return lone(p)
	}
	return []text{c.pieces(i, j)}
}

// span is the source run of the decoded bytes from i to j. It is asked for every
// command and expansion, so it makes no pieces.
func (c *chunk) span(i, j int) span {
	k := c.segment(i)
	first, last := -1, -1
	for ; k < len(c.segs) && c.segs[k].at < j; k++ {
		g := c.segs[k]
		from, to := max(i, g.at), min(j, g.at+g.n)
		if from >= to {
			continue
		}
		if first < 0 {
			first = g.start
			if g.same {
				first += from - g.at
			}
		}
		last = g.end
		if g.same {
			last = g.start + to - g.at
		}
	}
	if first < 0 {
		at := c.offset(i)
		return span{c.src, at, at}
	}
	return span{c.src, first, last}
}

// segment is the first segment that ends behind byte i.
func (c *chunk) segment(i int) int {
	if len(c.segs) == 1 && i < c.segs[0].at+c.segs[0].n {
		return 0
	}
	return sort.Search(len(c.segs), func(k int) bool { return c.segs[k].at+c.segs[k].n > i })
}

// offset is the source position of decoded byte i.
func (c *chunk) offset(i int) int {
	for _, g := range c.segs {
		if i < g.at+g.n {
			if g.exact() {
				return g.start + max(i-g.at, 0)
			}
			return g.start
		}
	}
	if n := len(c.segs); n > 0 {
		return c.segs[n-1].end
	}
	return 0
}

// sub is the part of the chunk from i to j as a chunk of its own.
func (c *chunk) sub(i, j int) *chunk {
	out := &chunk{src: c.src}
	var b []byte
	for _, p := range c.pieces(i, j) {
		out.add(&b, p.text, p.at.start, p.at.end)
	}
	out.text = string(b)
	return out
}
