package reports

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MergeRequest is what a project's owners are told in the merge request that
// brings the new image names.
type MergeRequest struct {
	// Path is the project's.
	Path string
	// FilesURL is where the files are shown as they were before, such as
	// https://gitlab.example.org/group/project/-/blob/SHA; "" when not known.
	FilesURL string
	// Registry is where the project's images were, such as
	// registry.uninett.no/group/project, written $CI_REGISTRY_IMAGE below; "" when not known.
	Registry string
	// Mapping is what each reference becomes.
	Mapping  []Renamed
	Findings []Finding
	// Trailer is the last line, by which the request is known again.
	Trailer string
}

// Renamed is a reference to an image before and after.
type Renamed struct{ Before, After string }

// Markdown writes the description in the Markdown of GitLab.
func (m MergeRequest) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "This moves the container images of %s from the old registry to Amazon ECR, which keeps one repository a project: image names become tag prefixes, and a tag can be pushed only once.\n", code(m.Path))
	m.mapping(&b)
	m.findings(&b, "What to look at before the merge", func(f Finding) bool { return f.Severity != "note" })
	m.findings(&b, "Good to know", func(f Finding) bool { return f.Severity == "note" })
	b.WriteString("\n**What happens next**\n\nAfter the merge the pipeline of the default branch runs, and its result is followed until the service runs from ECR.\n")
	b.WriteString("\n**How to revert**\n\nBefore the merge: close this merge request. After it: ask the platform team to roll the project back, which also puts the CI/CD variables back; a bare revert of the merge leaves those pointing to ECR.\n")
	if m.Trailer != "" {
		fmt.Fprintf(&b, "\n%s\n", plain(m.Trailer))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// mapping writes what each reference becomes; of many, only some are seen at once.
func (m MergeRequest) mapping(b *strings.Builder) {
	rows := func(list []Renamed) {
		b.WriteString("\n| before | after |\n| --- | --- |\n")
		for _, r := range list {
			// A bar ends a cell, even within code.
			fmt.Fprintf(b, "| %s | %s |\n", strings.ReplaceAll(code(m.short(r.Before)), "|", `\|`), strings.ReplaceAll(code(r.After), "|", `\|`))
		}
	}
	switch n := len(m.Mapping); {
	case n == 0:
	case n <= 2*few:
		rows(m.Mapping)
	default:
		rows(m.Mapping[:few])
		fmt.Fprintf(b, "\n<details><summary>and %d more</summary>\n", n-few)
		rows(m.Mapping[few:])
		b.WriteString("\n</details>\n")
	}
}

// findings writes the chosen ones under a heading: what they mean and what to do once,
// then each place.
func (m MergeRequest) findings(b *strings.Builder, heading string, chosen func(Finding) bool) {
	groups := grouped(m.Findings, chosen)
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", heading)
	for _, group := range groups {
		means, _, _ := meaning(group[0])
		fmt.Fprintf(b, "- %s", sentence(means))
		remedy := group[0].Remedy
		if remedy != "" && !slices.ContainsFunc(group, func(f Finding) bool { return f.Remedy != remedy }) {
			fmt.Fprintf(b, " What to do%s: %s", whose(group[0].Owner), sentence(remedy))
		} else {
			remedy = ""
		}
		b.WriteString(" (" + code(group[0].Code) + ")\n")
		for i, f := range group {
			if f.File == "" {
				continue
			}
			if i == few && len(group) > few+1 {
				fmt.Fprintf(b, "\n  <details><summary>and %d more places</summary>\n\n", len(group)-few)
			}
			b.WriteString("  - " + m.place(f))
			sep := ": "
			if f.Text != "" {
				b.WriteString(sep + code(f.Text))
				sep = " – "
			}
			_, names, also := meaning(f)
			if detail := m.detail(f, names); detail != "" {
				b.WriteString(sep + detail)
			}
			if also != "" {
				b.WriteString("; also in " + code(also))
			}
			if remedy == "" && f.Remedy != "" {
				b.WriteString(" What to do" + whose(f.Owner) + ": " + sentence(f.Remedy))
			}
			b.WriteString("\n")
		}
		if len(group) > few+1 {
			b.WriteString("\n  </details>\n\n")
		}
	}
}

// few is how many places of a finding, and names at a place, are shown at once.
const (
	few      = 6
	fewNames = 3
)

// detail is what a message says in brackets behind its meaning, without what the text
// says already.
func (m MergeRequest) detail(f Finding, detail string) string {
	if detail == "" {
		return ""
	}
	var names []string
	for _, name := range strings.Split(detail, ", ") {
		switch name = m.short(name); {
		case bare.Replace(name) == bare.Replace(m.short(f.Text)):
		case strings.ContainsAny(name, "/:$_"):
			names = append(names, code(name))
		default:
			names = append(names, plain(name))
		}
	}
	if n := len(names) - fewNames; n > 1 {
		names = append(names[:fewNames], fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// bare leaves out what is written one way or the other without a difference.
var bare = strings.NewReplacer("{", "", "}", "", `"`, "", "'", "")

// short is a reference with the variable that stands for its beginning.
func (m MergeRequest) short(ref string) string {
	rest, ok := strings.CutPrefix(ref, m.Registry)
	if m.Registry == "" || !ok || rest != "" && !strings.ContainsRune("/:-@", rune(rest[0])) {
		return ref
	}
	return "$CI_REGISTRY_IMAGE" + rest
}

// place is a link to the line.
func (m MergeRequest) place(f Finding) string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d", f.Line)
	}
	if m.FilesURL == "" {
		return code(text)
	}
	to := m.FilesURL + "/" + (&url.URL{Path: f.File}).EscapedPath()
	if f.Line > 0 {
		to += fmt.Sprintf("#L%d", f.Line)
	}
	return link(text, to)
}

// grouped are the chosen findings of one code and meaning together, where the code comes
// first.
func grouped(all []Finding, chosen func(Finding) bool) (out [][]Finding) {
	for _, f := range all {
		if !chosen(f) {
			continue
		}
		at, code := -1, -1
		for i, g := range out {
			if g[0].Code == f.Code {
				code = i
				if sameMeaning(g[0], f) {
					at = i
				}
			}
		}
		switch {
		case at >= 0:
			out[at] = append(out[at], f)
		case code >= 0:
			out = slices.Insert(out, code+1, []Finding{f})
		default:
			out = append(out, []Finding{f})
		}
	}
	return out
}

// meaning is a message without the bracketed detail at its end and without the further
// places behind that, which also has.
func meaning(f Finding) (text, detail, also string) {
	text, also, _ = strings.Cut(f.Message, "; also in ")
	if at := strings.Index(text, " ("); at > 0 && strings.HasSuffix(text, ")") {
		text, detail = text[:at], text[at+2:len(text)-1]
	}
	return text, detail, also
}

// sameMeaning says whether two findings say the same of different places.
func sameMeaning(f, g Finding) bool {
	a, _, _ := meaning(f)
	b, _, _ := meaning(g)
	return f.Code == g.Code && a == b
}

// whose names who can act when it is not the reader.
func whose(owner string) string {
	if owner == "" || owner == "project" {
		return ""
	}
	return " (for the " + plain(strings.ReplaceAll(owner, "-", " ")) + ")"
}

// sentence is text as Markdown, with a capital and a full stop.
func sentence(s string) string {
	s = plain(s)
	if s == "" {
		return s
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}
