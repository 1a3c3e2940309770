package ciconfig

import (
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// MaxFile is the largest file that is looked into, in bytes. A longer one may
// be given cut short, as long as it is longer still: it becomes a finding.
const MaxFile = maxFile

// Own tells the rewriter whose images are whose. The project's path and the
// old registry's host must be set. Aliases gives bases in the old registry
// that do not show their owner to project paths.
func (in *Input) Own(owners *naming.Owners, aliases map[string]string) {
	in.Owner = func(repository string) (string, string, bool) {
		o := owners.Of(repository)
		return o.Project, o.Name, o.Project != ""
	}
	for base, project := range aliases {
		if strings.EqualFold(project, in.Project.Path) {
			in.Project.OldBases = append(in.Project.OldBases, in.Project.OldHost+"/"+base)
		}
	}
	slices.Sort(in.Project.OldBases)
}

// Know adds a CI/CD variable of the project's settings. The registry's own
// variables are what changes hands: to the rewriter they are names, not
// values, and they are left out.
func (p *Project) Know(key, value string) {
	if strings.HasPrefix(key, "CI_REGISTRY") {
		return
	}
	if p.Variables == nil {
		p.Variables = map[string]string{}
	}
	p.Variables[key] = value
}

// Gather reads what the files include until nothing is missing: included files
// may include others. A local file becomes one that may be edited.
func Gather(in *Input, read func(Include) Included) {
	for range maxIncludes { // GitLab itself allows 150
		missing := Missing(*in)
		if len(missing) == 0 {
			return
		}
		for _, inc := range missing {
			got := read(inc)
			got.Include = inc
			if inc.Kind == "local" && got.Missing == "" {
				in.Files = append(in.Files, File{Path: inc.File, Content: got.Content})
				continue
			}
			in.Included = append(in.Included, got)
		}
	}
}
