package naming

import "testing"

func TestMoved(t *testing.T) {
	t.Parallel()
	const ecr = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
	for _, test := range []struct {
		path, image, was string
		moved            bool
	}{
		{"kurs/skjema", ecr + "/kurs/skjema", "kurs/skjema", false},
		{"Kurs/Skjema", ecr + "/kurs/skjema", "kurs/skjema", false},
		{"kurs/skjema", ecr + "/arkiv/skjema", "arkiv/skjema", true},
		{"kurs/skjema", ecr + "/kurs/skjema-2", "kurs/skjema-2", true},
		{"kurs/skjema", ecr + "/kurs", "kurs", true},
		{"kurs/skjema", "registry.uninett.no/arkiv/skjema", "", false},
		{"kurs/skjema", ecr, "", false},
		{"kurs/skjema", "", "", false},
		{"_", ecr + "/kurs/skjema", "kurs/skjema", true}, // no repository can be named so
	} {
		if was, moved := Moved(test.path, test.image, ecr); was != test.was || moved != test.moved {
			t.Errorf("Moved(%q, %q) = %q, %v; want %q, %v", test.path, test.image, was, moved, test.was, test.moved)
		}
	}
	if _, moved := Moved("kurs/skjema", "/arkiv/skjema", ""); moved {
		t.Error("moved in a registry without a name")
	}
}
