package samples

import "testing"

func TestAll(t *testing.T) {
	t.Parallel()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 14 {
		t.Errorf("%d samples, want 14 at least", len(all))
	}
	paths := map[string]string{}
	for _, s := range all {
		if other, ok := paths[s.FinalPath()]; ok {
			t.Errorf("%s and %s have one path", other, s.Name)
		}
		paths[s.FinalPath()] = s.Name
		if !s.Empty && len(s.Files) == 0 {
			t.Errorf("%s has no files", s.Name)
		}
		if s.Shows == "" {
			t.Errorf("%s does not say what it shows", s.Name)
		}
	}
}
