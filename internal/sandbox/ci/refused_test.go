package ci

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRefused holds GitLab's words for what it refuses.
func TestRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 256)
	tests := []struct{ config, want string }{
		{" ", "Please provide content of .gitlab-ci.yml"},
		{"just text", "Invalid configuration format"},
		{"a: {b", "(<unknown>): line 1: did not find expected ',' or '}'"},
		{"a: *nope", "An alias referenced an unknown anchor: nope"},
		{"a: {script: x, variables: {D: 2024-01-01}}", "Tried to load unspecified class: Date"},
		{".a: {script: x}", "jobs config should contain at least one visible job"},
		{"build: {stage: test}", "jobs build config should implement the script:, run:, or trigger: keyword; jobs config should contain at least one visible job"},
		{"build: text\nok: {script: x}", "jobs build config should implement the script:, run:, or trigger: keyword"},
		{"Build It: {image: x}\nok: {script: x}", "jobs build_it config should implement the script:, run:, or trigger: keyword"},
		{"a: {script: x, imgae: y, foo: z}", "jobs:a config contains unknown keys: imgae, foo"},
		{"a: {script: x, stage: nope}", "a job: chosen stage nope does not exist; available stages are .pre, build, test, deploy, .post"},
		{"a: {script: ''}", "jobs:a script can't be blank"},
		{"a: {script: [{x: y}]}", "jobs:a:script config should be a string or a nested array of strings up to 10 levels deep"},
		{"a: {script: [1]}", "jobs:a:script config should be a string or a nested array of strings up to 10 levels deep"},
		{"a: {script: [[[[[[[[[[[[x]]]]]]]]]]]]}", "jobs:a:script config should be a string or a nested array of strings up to 10 levels deep"},
		{"a: {script: x, trigger: y}", "jobs:a config these keys cannot be used together: script, trigger"},
		{"a: {script: x, rules: [{if: $A}], only: [main]}", "jobs:a config key may not be used with `rules`: only"},
		{".t: {only: [main], except: [tags]}\na: {extends: .t, script: x, rules: [{if: $A}]}", "jobs:a config key may not be used with `rules`: only, except"},
		{"a: {script: x, rules: [{if: $A = 1}]}", "jobs:a:rules:rule if invalid expression syntax"},
		{"a: {script: x, rules: [{when: sometimes}]}", "jobs:a:rules:rule when unknown value: sometimes"},
		{"a: {script: x, rules: [{iff: $A}]}", "jobs:a:rules:rule config contains unknown keys: iff"},
		{"a: {script: x, rules: text}", "jobs:a rules should be an array containing hashes and arrays of hashes"},
		{"workflow: {rules: [{when: manual}]}\na: {script: x}", "workflow:rules:rule when unknown value: manual"},
		{"a: {script: x, only: main}", "jobs:a:only has to be either an array of conditions or a hash"},
		{"a: {script: x, only: [1]}", "jobs:a:only config should be an array of strings or regular expressions using re2 syntax"},
		{"a: {script: x, only: ['/(/']}", "jobs:a:only config should be an array of strings or regular expressions using re2 syntax"},
		{"a: {script: x, when: later}", "jobs:a when should be one of: on_success, on_failure, always, manual, delayed"},
		{"a: {script: x, tags: docker}", "jobs:a:tags config should be an array of strings"},
		{"a: {script: x, retry: 3}", "jobs:a:retry config must be less than or equal to 2"},
		{"a: {script: x, image: {entrypoint: [x]}}", "jobs:a:image name should be a string; jobs:a:image name can't be blank"},
		{"a: {script: x, image: [x]}", "jobs:a:image config should be a hash or a string"},
		{"a: {script: x, services: docker}", "jobs:a:services config should be an array"},
		{"a: {script: x, variables: [x]}", "jobs:a:variables config should be a hash"},
		{"a: {script: x, variables: {A: [x]}}", "variable definition must be either a string or a hash"},
		{"a: {script: x, variables: {A: {description: x}}}", "jobs:a:variables:a config uses invalid data keys: description"},
		{"a: {script: x, environment: {name: 'x y!'}}", "jobs:a:environment name can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'"},
		{"a: {script: x, environment: {name: x, action: go}}", "jobs:a:environment action should be start, stop, prepare, verify, or access"},
		{"a: {script: x, environment: {name: x, on_stop: b}}", "a job: on_stop job b is not defined"},
		{"a: {script: x, environment: {name: x, on_stop: b}}\nb: {script: x, environment: {name: x}}", "a job: on_stop job b needs to have action stop defined"},
		{"a: {script: x, artifacts: {path: [x]}}", "jobs:a:artifacts config contains unknown keys: path"},
		{"a: {script: x, cache: {path: [x]}}", "jobs:a:cache config contains unknown keys: path"},
		{"a: {script: x, parallel: 201}", "jobs:a:parallel config must be less than or equal to 200"},
		{"a: {script: x, parallel: {matrix: [{A: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15], B: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]}]}}", "jobs:a:parallel:matrix config generates too many jobs (maximum is 200)"},
		{"a: {script: x, needs: [b]}", "a job: undefined need: b"},
		{"a: {script: x, dependencies: [b]}", "a job: undefined dependency: b"},
		{"a: {stage: build, script: x, needs: [b]}\nb: {stage: deploy, script: x}", "a job: need b is not defined in current or prior stages"},
		{"a: {script: x, needs: [b, b]}\nb: {script: x}", "a has the following needs duplicated: b."},
		{"a: {script: x, needs: [b]}\nb: {script: x, needs: [a]}", "The pipeline has circular dependencies"},
		{"a: {script: x, needs: [b]}\nb: {script: x, only: [tags]}", "'a' job needs 'b' job, but 'b' does not exist in the pipeline. This might be because of the only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, use needs:optional."},
		{"a: {extends: .no, script: x}", "a: unknown keys in `extends` (.no)"},
		{"a: {extends: variables, script: x}\nvariables: text", "a: invalid base hashes in `extends` (variables)"},
		{"a: {extends: b, script: x}\nb: {extends: a, script: x}", "a: circular dependency detected in `extends`"},
		{"a: {script: [!reference [.no, script]]}", `!reference [".no", "script"] could not be found`},
		{"a: {script: [!reference [a, script]]}", `!reference ["a", "script"] is part of a circular chain`},
		{"a: {script: [!reference nope]}", `!reference "nope" is not valid`},
		{"image: x\ndefault: {image: y}\na: {script: x}", "image is defined in top-level and `default:` entry"},
		{"default: {imagine: x}\na: {script: x}", "default config contains unknown keys: imagine"},
		{"default: {before_script: {a: b}}\na: {script: x}\nb: {script: x}", "default:before_script config should be a string or a nested array of strings up to 10 levels deep"},
		{"stages: build\na: {script: x}", "stages config should be an array of strings or a nested array of strings up to 10 levels deep"},
		{"a: {trigger: {strategy: depend}}", "jobs:a:trigger project can't be blank"},
		{"a: {trigger: x, image: y}", "jobs:a config contains unknown keys: image"},
		{"a: {script: x, variables: {A: $B, B: $A}}", `a: circular variable reference detected: ["A" "B"]`},
		{long + ": {script: x}", "jobs:" + long + " name is too long (maximum is 255 characters)"},
	}
	for _, tt := range tests {
		got := strings.Join(messages(t, map[string]string{".gitlab-ci.yml": tt.config}), "; ")
		if got != tt.want {
			t.Errorf("%.120s\n got %s\nwant %s", tt.config, got, tt.want)
		}
	}
}

// hostile are inputs that multiply.
func hostile() map[string]string {
	var aliases, references, extends, wide strings.Builder
	aliases.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	references.WriteString(".r0: {script: [x, x, x, x, x, x, x, x, x, x]}\n")
	extends.WriteString(".e0: {variables: {A: x}}\n")
	for i := 1; i < 12; i++ {
		prev, this := string(rune('0'+i-1)), string(rune('0'+i))
		aliases.WriteString("a" + this + ": &a" + this + " [" + strings.Repeat("*a"+prev+", ", 10) + "x]\n")
		references.WriteString(".r" + this + ": {script: [" + strings.Repeat("!reference [.r"+prev+", script], ", 10) + "x]}\n")
		extends.WriteString(".e" + this + ": {extends: [" + strings.Repeat(".e"+prev+", ", 9) + ".e" + prev + "]}\n")
	}
	wide.WriteString(".w:\n  script: x\n  variables:\n")
	for i := range 20_000 {
		wide.WriteString("    V" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/2600) + ": $V\n")
	}
	for i := range 3000 {
		wide.WriteString("j" + strings.Repeat("q", i%50) + string(rune('a'+i%26)) + strings.Repeat("z", i/60) + ": {extends: .w}\n")
	}
	var jobs strings.Builder
	for i := range 15_000 {
		fmt.Fprintf(&jobs, "j%d: {script: x}\n", i)
	}
	var chain strings.Builder
	chain.WriteString("j:\n  script: x\n  variables:\n    V0: x\n")
	for i := range 2000 {
		fmt.Fprintf(&chain, "    V%d: $V%d$V%d\n", i+1, i, i)
	}
	return map[string]string{
		"aliases":        aliases.String() + "job: {script: [*a9]}\n",
		"own ancestor":   "a: &a\n  script: [x]\n  b:\n    - *a\n",
		"merge bomb":     "a: &a {k: &l [x, x, x]}\n" + strings.Repeat("<<: *a\n", 1000) + "job: {script: x}",
		"references":     references.String() + "job: {script: [!reference [.r9, script]]}\n",
		"extends":        extends.String() + "job: {extends: .e9, script: x}\n",
		"depth":          "job: {script: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}",
		"wide extends":   wide.String(),
		"variable chain": chain.String(),
		"expression":     "job: {script: x, rules: [{if: '" + strings.Repeat("(", 5000) + "$A" + strings.Repeat(")", 5000) + "'}]}",
		"pattern":        "job: {script: x, rules: [{if: '$A =~ /" + strings.Repeat("(a{1000}){1000}", 3) + "/'}]}",
		"matrix":         "job: {script: x, parallel: {matrix: [{" + strings.Repeat("A: [1, 2, 3, 4, 5, 6, 7, 8, 9], ", 30) + "}]}}",
		"text":           "job: {script: " + strings.Repeat("x", 3<<20) + "}",
		"many jobs":      jobs.String(),
	}
}

// TestHostile holds that no input takes long, whatever comes of it.
func TestHostile(t *testing.T) {
	t.Parallel()
	for name, config := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got := messages(t, map[string]string{".gitlab-ci.yml": config})
			t.Logf("%s: %.100q", time.Since(start).Round(time.Millisecond), got)
			if d := time.Since(start); d > time.Minute { // a second on an idle machine
				t.Errorf("took %s", d)
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, config := range []string{
		"job: {script: x}",
		inputsSpec,
		"include: x.yml\njob: {script: [!reference [.a, b]], extends: .a, rules: [{if: '$A == \"x\" && $B =~ /y/i'}]}\n.a: {b: c}",
		"a: &a {script: x}\nb: {<<: *a, parallel: {matrix: [{A: [1, 2]}]}, needs: [c], only: {refs: [/x/]}}",
		"include: {project: asm/gitlab-ci-helpers, file: gitlab-ci-helpers.yml}\nbuild: {extends: .docker-build}",
		"stages: [a]\nworkflow: {rules: [{exists: [x]}]}\nt: {stage: a, trigger: {include: x}}\ne: {stage: a, script: x, environment: {name: $X, on_stop: t}}",
		"variables: {A: {value: x, options: [x]}}\ndefault: {image: x}\nj: {script: [[x]], services: [{name: y}], cache: [{paths: [z]}], retry: {max: 1}}",
	} {
		f.Add(config)
	}
	f.Fuzz(func(t *testing.T, config string) {
		m := world(map[string]string{".gitlab-ci.yml": config, "x.yml": inputsSpec})
		for _, trigger := range []Trigger{push, tag("v1"), from("merge_request_event")} {
			p, err := Compile(project, trigger, Settings{}, m, nil)
			if err != nil {
				if strings.TrimSpace(err.Error()) == "" {
					t.Error("refused without a reason")
				}
				continue
			}
			if len(p.Jobs) == 0 && !p.Filtered {
				t.Error("no job, but not filtered")
			}
			for _, j := range p.Jobs {
				Environ(Execution{Project: project, Trigger: trigger, Job: j})
			}
		}
	})
}
