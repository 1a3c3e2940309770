package jobs_test

import (
	"maps"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
)

// variant adds a project that is a sample with another path, changed as told,
// and returns its id.
func (b *bench) variant(sample, path string, alter func(*samples.Sample)) int64 {
	b.Helper()
	all, err := samples.All()
	b.must(err)
	for _, s := range all {
		if s.Name != sample {
			continue
		}
		s.Path, s.Files = path, maps.Clone(s.Files)
		if alter != nil {
			alter(&s)
		}
		b.must(b.world.SeedSample(b.Context(), s))
		view, _ := b.world.GitLab.Project(path)
		return view.ID
	}
	b.Fatalf("no sample %s", sample)
	return 0
}

// sampleFiles returns the files of a sample.
func sampleFiles(b *bench, name string) map[string]string {
	b.Helper()
	all, err := samples.All()
	b.must(err)
	for _, s := range all {
		if s.Name == name {
			return maps.Clone(s.Files)
		}
	}
	b.Fatalf("no sample %s", name)
	return nil
}

// ciFile changes a sample's CI file before it is seeded.
func ciFile(edit func(string) string) func(*samples.Sample) {
	return func(s *samples.Sample) { s.Files[".gitlab-ci.yml"] = edit(s.Files[".gitlab-ci.yml"]) }
}

// more appends jobs to a CI file, and gives it a stage test.
func more(jobs string) func(string) string {
	return func(ci string) string {
		return strings.Replace(ci, "stages: [build, staging]", "stages: [build, test, staging]", 1) + "\n" + jobs
	}
}

// push commits a change of the CI file as a project's owners do, which starts
// its pipeline. It may be called from a fault point.
func (b *bench) push(path, message string, edit func(string) string) {
	ci, err := b.world.GitLab.File(path, "main", ".gitlab-ci.yml")
	if err == nil {
		_, err = b.world.GitLab.PushFiles(path, "main", message, map[string]string{".gitlab-ci.yml": edit(ci)})
	}
	if err != nil {
		b.Errorf("%s: %v", path, err)
	}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
