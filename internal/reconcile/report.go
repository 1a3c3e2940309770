package reconcile

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Report is a reconciliation, complete: every rendering is made from it. Its JSON
// is stored and given to programs of others, so fields are only ever added, and
// Schema changes when one has to go. Lists are never null.
type Report struct {
	Schema     int       `json:"schema"`
	ID         int64     `json:"id"`
	Kind       string    `json:"kind"` // scheduled or demand
	Period     time.Time `json:"period"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Actor      string    `json:"actor"`
	Note       string    `json:"note"`
	// Scope holds the project paths that were asked for; empty for all.
	Scope   []string `json:"scope"`
	OldHost string   `json:"old_host"`
	// ClusterAsked says that a cluster was there to be asked.
	ClusterAsked bool `json:"cluster_asked"`

	Headline Headline `json:"headline"`
	// Changes are against the report before; nil when there is none.
	Changes *Changes `json:"changes"`
	// Trend has one point a report, the oldest first; this one is the last.
	Trend   []Point      `json:"trend"`
	Classes []ClassCount `json:"classes"`
	// Owners are the groups that have something to do, the most first.
	Owners []Group `json:"owners"`
	// Subjects are the projects, and the old repositories that none owns; the
	// gravest first, then by path.
	Subjects []Subject `json:"subjects"`
}

// schema is the version of a Report's JSON.
const schema = 1

// Headline answers the question behind it all.
type Headline struct {
	// Answer is yes, no or unknown: can the old registry be switched off? It is
	// "" in a report on some projects only.
	Answer   string `json:"answer"`
	Sentence string `json:"sentence"`
	Projects int    `json:"projects"`
	InSync   int    `json:"in_sync"` // or with no more than images that expired unused
	// NeedingOld counts projects, Ownerless repositories that hold tags.
	NeedingOld int `json:"needing_old"`
	Ownerless  int `json:"ownerless"`
	Loud       int `json:"loud"`
	Unobserved int `json:"unobserved"`
	// PerWeek is by how many projects the need shrinks a week; nil without an
	// earlier report to measure by.
	PerWeek *float64 `json:"per_week"`
	// Date is when nobody will need it any more at that pace; nil if the pace
	// does not allow a date. Forecast says it in a sentence.
	Date     *time.Time `json:"date"`
	Forecast string     `json:"forecast"`
}

// Subject is a project or an old repository, and what was found.
type Subject struct {
	Kind      string `json:"kind"` // project or repository
	ProjectID int64  `json:"project_id"`
	Path      string `json:"path"`
	URL       string `json:"url"`
	Group     string `json:"group"` // whose it is: the path without its last part
	// Maintainers are people of it who can act; none where GitLab names none to us.
	Maintainers []string  `json:"maintainers"`
	NeedsOld    bool      `json:"needs_old"`
	Findings    []Finding `json:"findings"` // the gravest first
}

// Acts names who can act on a finding: of a project's own, its maintainers, or its
// group where none is known.
func (s Subject) Acts(f Finding) string {
	switch {
	case f.Owner != ProjectOwner || s.Kind != "project":
		return string(f.Owner)
	case len(s.Maintainers) > 0:
		text := strings.Join(s.Maintainers[:min(len(s.Maintainers), most)], ", ")
		if more := len(s.Maintainers) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return text
	}
	return "group " + s.Group
}

// most is how many people a report names in one place.
const most = 3

// Class is the gravest that the subject is in.
func (s Subject) Class() Class {
	if len(s.Findings) == 0 {
		return InSync
	}
	return s.Findings[0].Class
}

// Severity is the worst of the subject's findings.
func (s Subject) Severity() Severity {
	worst := OK
	for _, f := range s.Findings {
		if weight(f.Severity) < weight(worst) {
			worst = f.Severity
		}
	}
	return worst
}

func weight(s Severity) int {
	return slices.Index([]Severity{Loud, Warning, Note, OK}, s)
}

// ClassCount is how many subjects are in a class.
type ClassCount struct {
	Meaning
	Count    int `json:"count"`
	NeedsOld int `json:"needs_old"` // of them
}

// Group is a group of GitLab and what of it somebody has to look at.
type Group struct {
	Name     string   `json:"name"`
	Projects int      `json:"projects"`
	Open     int      `json:"open"` // with a warning or worse
	NeedsOld int      `json:"needs_old"`
	Paths    []string `json:"paths"` // of those that are open or need the old registry
}

// Point is a report in the course of time.
type Point struct {
	ReportID   int64     `json:"report_id"`
	At         time.Time `json:"at"`
	Projects   int       `json:"projects"`
	InSync     int       `json:"in_sync"`
	NeedingOld int       `json:"needing_old"`
	Loud       int       `json:"loud"`
}

// Close makes the report of what was found. Head holds what is known before:
// identity, times, scope and host. Before are the earlier reports on all
// projects, the latest first.
func Close(head Report, subjects []Subject, before []Report) Report {
	r := head
	r.Schema = schema
	r.Scope = append([]string{}, r.Scope...)
	r.Subjects = append([]Subject{}, subjects...)
	for i := range r.Subjects {
		r.Subjects[i].Maintainers = append([]string{}, r.Subjects[i].Maintainers...)
	}
	slices.SortStableFunc(r.Subjects, func(a, b Subject) int {
		return cmp.Or(
			cmp.Compare(weight(a.Severity()), weight(b.Severity())),
			cmp.Compare(rank(a.Class()), rank(b.Class())), cmp.Compare(a.Path, b.Path))
	})
	r.Classes, r.Owners, r.Trend = []ClassCount{}, []Group{}, []Point{}
	r.count()
	if len(before) > 0 {
		c := Compare(before[0], r)
		r.Changes = &c
	}
	for _, b := range slices.Backward(before) {
		if len(r.Scope) == 0 {
			r.Trend = append(r.Trend, b.point())
		}
	}
	r.Trend = append(r.Trend, r.point())
	r.forecast()
	r.answer()
	return r
}

func (r *Report) point() Point {
	h := r.Headline
	return Point{ReportID: r.ID, At: r.FinishedAt, Projects: h.Projects, InSync: h.InSync, NeedingOld: h.NeedingOld, Loud: h.Loud}
}

// count fills the figures, the classes and the groups.
func (r *Report) count() {
	classes, groups := map[Class]*ClassCount{}, map[string]*Group{}
	for _, s := range r.Subjects {
		for _, f := range s.Findings {
			c := classes[f.Class]
			if c == nil {
				c = &ClassCount{Meaning: MeaningOf(f.Class)}
				classes[f.Class] = c
			}
			c.Count++
			if f.NeedsOld {
				c.NeedsOld++
			}
		}
		severity := s.Severity()
		if s.Kind != "project" {
			if s.NeedsOld {
				r.Headline.Ownerless++
			}
			continue
		}
		g := groups[s.Group]
		if g == nil {
			g = &Group{Name: s.Group, Paths: []string{}}
			groups[s.Group] = g
		}
		g.Projects++
		r.Headline.Projects++
		open := weight(severity) <= weight(Warning)
		if open {
			g.Open++
		}
		if severity == OK {
			r.Headline.InSync++
		}
		if severity == Loud {
			r.Headline.Loud++
		}
		if s.NeedsOld {
			g.NeedsOld++
			r.Headline.NeedingOld++
		}
		if open || s.NeedsOld {
			g.Paths = append(g.Paths, s.Path)
		}
		if s.Class() == NotObserved {
			r.Headline.Unobserved++
		}
	}
	for _, m := range meanings {
		if c := classes[m.Class]; c != nil {
			r.Classes = append(r.Classes, *c)
		}
	}
	for _, g := range groups {
		if len(g.Paths) > 0 {
			slices.Sort(g.Paths)
			r.Owners = append(r.Owners, *g)
		}
	}
	slices.SortFunc(r.Owners, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.NeedsOld, a.NeedsOld), cmp.Compare(b.Open, a.Open), cmp.Compare(a.Name, b.Name))
	})
}

// GroupOf returns whose a project is: its path without the last part.
func GroupOf(projectPath string) string { return path.Dir(projectPath) }

// answer says whether the old registry can be switched off, and why not.
func (r *Report) answer() {
	h := &r.Headline
	host := cmp.Or(r.OldHost, "the old registry")
	switch {
	case len(r.Scope) > 0:
		h.Sentence = fmt.Sprintf("Of %s looked at, %s %s.", count(h.Projects, "project", "projects"),
			count(h.NeedingOld, "still needs", "still need"), host)
		h.Forecast = ""
		return
	case h.NeedingOld-h.Unobserved > 0:
		h.Answer = "no"
		h.Sentence = fmt.Sprintf("No: %s of %d %s %s.", count(h.NeedingOld, "project", "projects"), h.Projects,
			verb(h.NeedingOld, "still needs", "still need"), host)
	case h.Unobserved > 0:
		h.Answer = "unknown"
		h.Sentence = fmt.Sprintf("Nobody can say: %s could not be looked at.", count(h.Unobserved, "project", "projects"))
	case h.Ownerless > 0:
		h.Answer = "no"
		h.Sentence = fmt.Sprintf("Not yet: no project needs %s any more, but it holds %s that no project owns: somebody has to say what becomes of %s.",
			host, count(h.Ownerless, "repository", "repositories"), verb(h.Ownerless, "it", "them"))
		return
	case h.Projects == 0:
		h.Answer = "unknown"
		h.Sentence = "Nobody can say: there was no project to look at."
	default:
		h.Answer = "yes"
		h.Sentence = fmt.Sprintf("Yes: none of %s needs %s any more.", count(h.Projects, "project", "projects"), host)
	}
	var more []string
	if h.Answer == "no" && h.Unobserved > 0 {
		more = append(more, count(h.Unobserved, "of them could not be looked at", "of them could not be looked at"))
	}
	if h.Ownerless > 0 {
		more = append(more, "it holds "+count(h.Ownerless, "repository", "repositories")+" that no project owns")
	}
	if len(more) > 0 {
		h.Sentence = strings.TrimSuffix(h.Sentence, ".") + "; " + strings.Join(more, ", and ") + "."
	}
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
