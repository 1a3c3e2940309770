package reports

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// table is rows under a heading, rendered as aligned text or as Markdown.
type table struct {
	title  string
	header []string
	rows   [][]string
	// below is how many of the last columns a terminal gets as lines of their own
	// under the row, whole and with their names: sentences fit into no column.
	below int
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text writes the table aligned, long cells cut but for the last; nothing when
// it has no rows.
func (t *table) text(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	if t.title != "" {
		if _, err := fmt.Fprintf(w, "\n%s\n", t.title); err != nil {
			return err
		}
	}
	columns := len(t.header) - t.below
	upper := make([]string, columns)
	for i, h := range t.header[:columns] {
		upper[i] = strings.ToUpper(h)
	}
	var aligned strings.Builder
	tw := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', tabwriter.TabIndent)
	for _, row := range append([][]string{upper}, t.rows...) {
		cells := make([]string, columns)
		for i, c := range row[:columns] {
			if c = line(c); i < columns-1 {
				c = cut(c)
			}
			cells[i] = cmp.Or(c, "-")
		}
		// The last cell is not followed by a tab, so nothing pads the line's end.
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	rows := -1 // the first line is the heading
	for l := range strings.Lines(aligned.String()) {
		out.WriteString(l)
		if rows++; rows == 0 {
			continue
		}
		for i, name := range t.header[columns:] {
			if c := line(t.rows[rows-1][columns+i]); c != "" {
				fmt.Fprintf(&out, "    %s: %s\n", name, c)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// markdown writes the table with whole cells; nothing when it has no rows.
func (t *table) markdown(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	var b strings.Builder
	if t.title != "" {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
	}
	writeRow := func(cells []string, f func(string) string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + f(c) + " |")
		}
		b.WriteString("\n")
	}
	writeRow(t.header, plain)
	writeRow(t.header, func(string) string { return "---" })
	for _, row := range t.rows {
		writeRow(row, plain)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// widest is how many characters of a cell the terminal gets.
const widest = 100

func cut(s string) string {
	if runes := []rune(s); len(runes) > widest {
		return string(runes[:widest-1]) + "…"
	}
	return s
}

// line makes one line of s and takes the control characters out: the text of
// logs and files must not steer a terminal.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// markup are the characters that mean something to Markdown within a line.
var markup = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, `<`, `&lt;`, `>`, `&gt;`, `|`, `\|`, `&`, `&amp;`,
	`@`, `&#64;`, // GitLab would notify whoever is called so
	`#`, `&#35;`, `~`, `\~`,
)

// plain makes s one line of Markdown that reads as s.
func plain(s string) string { return markup.Replace(line(s)) }

// code is s as Markdown code, whatever backticks it holds.
func code(s string) string {
	s = line(s)
	fence, pad := "`", ""
	for strings.Contains(s, fence) {
		fence, pad = fence+"`", " "
	}
	return fence + pad + s + pad + fence
}

// link is a Markdown link, or only the text when url is none to follow.
func link(text, url string) string {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") || strings.ContainsAny(url, " <>()\"\n") {
		return plain(text)
	}
	return "[" + plain(text) + "](" + url + ")"
}

// ago is how long before at t was, in its greatest unit.
func ago(at, t time.Time) string { return span(at.Sub(t)) }

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// size is a number of bytes in its greatest unit.
func size(n int64) string {
	const units = "kMGTP"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.1f %cB", value, units[unit])
}

// count is "3 projects", "1 project".
func count[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
