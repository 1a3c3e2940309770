package ciconfig

import (
	"fmt"
	"hash/fnv"
	"os"
	"regexp"
	"strings"
	"testing"
)

// pieces of a project: what stands at the top of its CI file, the keys and the first lines of
// its job, and other files.
type pieces struct {
	top, keys, lines string
	files            map[string]string
}

// givers are ways to give $IMAGE its value, which is written as @.
var givers = map[string]pieces{
	"global":         {top: "variables:\n  IMAGE: @\n"},
	"with a value":   {top: "variables:\n  IMAGE: {value: @, description: the image}\n"},
	"another":        {top: "variables:\n  OTHER: @\n  IMAGE: $OTHER\n"},
	"workflow":       {top: "workflow:\n  rules:\n    - if: $CI_COMMIT_BRANCH\n      variables: {IMAGE: @}\n"},
	"default before": {top: "default:\n  before_script:\n    - export IMAGE=@\n"},
	"include":        {top: "include: ci/variables.yml\n", files: map[string]string{"ci/variables.yml": "variables:\n  IMAGE: @\n"}},
	"input":          {top: "include: {local: ci/in.yml, inputs: {image: \"@\"}}\n", files: map[string]string{"ci/in.yml": "spec: {inputs: {image: {}}}\n---\nvariables:\n  IMAGE: $[[ inputs.image ]]\n"}},
	"dotenv":         {top: "before:\n  stage: .pre\n  script: ['echo \"IMAGE=@\" > build.env']\n  artifacts: {reports: {dotenv: build.env}}\n"},
	"job":            {keys: "  variables: {IMAGE: @}\n"},
	"rule":           {keys: "  rules:\n    - if: $CI_COMMIT_BRANCH\n      variables: {IMAGE: @}\n"},
	"matrix":         {keys: "  parallel: {matrix: [{IMAGE: [\"@\"]}]}\n"},
	"template":       {top: ".t:\n  variables: {IMAGE: @}\n", keys: "  extends: .t\n"},
	"merge":          {top: ".v: &v\n  IMAGE: @\n", keys: "  variables:\n    <<: *v\n"},
	"reference":      {top: ".v:\n  variables: {IMAGE: @}\n", keys: "  variables: !reference [.v, variables]\n"},
	"before":         {keys: "  before_script:\n    - export IMAGE=@\n"},
	"export":         {lines: "export IMAGE=\"@\"\n"},
	"export behind":  {lines: "IMAGE=@\nexport IMAGE\n"},
	"set -a":         {lines: "set -a\nIMAGE=@\nset +a\n"},
	"declare":        {lines: "declare -x IMAGE=@\n"},
	"readonly":       {lines: "readonly IMAGE=@\nexport IMAGE\n"},
	"default":        {lines: "export IMAGE=${IMAGE:-@}\n"},
	"assigned":       {lines: ": ${IMAGE:=@}\nexport IMAGE\n"},
	"if":             {lines: "if [ -n \"$X\" ]; then export IMAGE=@; else export IMAGE=@; fi\n"},
	"substitution":   {lines: "export IMAGE=$(echo @)\n"},
	"printf":         {lines: "export IMAGE=$(printf '%s' @)\n"},
	"function":       {lines: "setup() { export IMAGE=@; }\nsetup\n"},
	"sourced":        {lines: ". ci/v.sh\n", files: map[string]string{"ci/v.sh": "export IMAGE=@\n"}},
	"file":           {lines: "set -a; . ./v.env; set +a\n", files: map[string]string{"v.env": "IMAGE=@\n"}},
	"printed":        {lines: "eval \"$(sh ci/p.sh)\"\n", files: map[string]string{"ci/p.sh": "echo export IMAGE=@\n"}},
	"written":        {lines: "echo \"export IMAGE=@\" > v.sh\n. ./v.sh\n"},
	"here-document":  {lines: "cat > v.sh <<EOF\nexport IMAGE=@\nEOF\n. ./v.sh\n"},
}

// takers are uses of it, behind which @ stands for the rest of the reference.
var takers = map[string]pieces{
	"push":     {lines: "docker build -t $IMAGE@ .\ndocker push $IMAGE@\n"},
	"braces":   {lines: "docker build -t \"${IMAGE}@\" .\ndocker push \"${IMAGE}@\"\n"},
	"variable": {lines: "X=$IMAGE@\ndocker build -t $X .\ndocker push $X\n"},
	"kaniko":   {lines: "/kaniko/executor --destination $IMAGE@\n"},
	"script":   {lines: "sh ci/push.sh\n", files: map[string]string{"ci/push.sh": "docker build -t $IMAGE@ .\ndocker push $IMAGE@\n"}},
	"argument": {lines: "sh ci/push.sh $IMAGE\n", files: map[string]string{"ci/push.sh": "IMAGE=$1\ndocker build -t $IMAGE@ .\ndocker push $IMAGE@\n"}},
	"make":     {lines: "make push\n", files: map[string]string{"Makefile": "push:\n\tdocker build -t $(IMAGE)@ .\n\tdocker push $(IMAGE)@\n"}},
	"make's":   {lines: "make push IMAGE=$IMAGE\n", files: map[string]string{"Makefile": "push:\n\tdocker build -t $(IMAGE)@ .\n\tdocker push $(IMAGE)@\n"}},
	"compose":  {lines: "docker compose build\ndocker compose push\n", files: map[string]string{"compose.yml": "services:\n  api:\n    build: .\n    image: ${IMAGE}@\n"}},
	"bake":     {lines: "docker buildx bake --push\n", files: map[string]string{"docker-bake.hcl": "variable \"IMAGE\" {}\nvariable \"CI_COMMIT_SHA\" {}\ntarget \"default\" {\n  tags = [\"${IMAGE}@\"]\n}\n"}},
	"ARG":      {lines: "docker build --build-arg IMAGE=$IMAGE --build-arg CI_COMMIT_SHA=$CI_COMMIT_SHA -t x .\n", files: map[string]string{"Dockerfile": "ARG IMAGE\nARG CI_COMMIT_SHA\nFROM ${IMAGE}@\n"}},
	"helm":     {lines: "helm upgrade a ./c --set image=$IMAGE@\n", files: map[string]string{"c/Chart.yaml": "name: a\n", "c/templates/a.yaml": "image: {{ .Values.image }}\n"}},
	"envsubst": {lines: "envsubst < k.yaml | kubectl apply -f -\n", files: map[string]string{"k.yaml": "kind: Pod\nspec:\n  containers:\n    - image: $IMAGE@\n"}},
	"kubectl":  {lines: "kubectl set image deploy/a a=$IMAGE@\n"},
	"sed":      {lines: "sed -i \"s#IMG#$IMAGE@#\" k.yaml\nkubectl apply -f k.yaml\n", files: map[string]string{"k.yaml": "kind: Pod\nspec:\n  containers:\n    - image: IMG\n"}},
	"ssh":      {lines: "ssh server \"docker pull $IMAGE@\"\n"},
	"unknown":  {lines: "./deploy.py --image $IMAGE@\n"},
}

// parted are the ways in which a reference may be parted between the two, and what would show
// that one of them was left in its old form.
var parted = []struct {
	value, rest string
	old         *regexp.Regexp
}{
	{"", "/api:$CI_COMMIT_SHA", regexp.MustCompile(`IMAGE["'})]*/["']?api`)},
	{"/api", ":$CI_COMMIT_SHA", regexp.MustCompile(`CI_REGISTRY_IMAGE["'})]*/["']?api|[ {($]IMAGE["'})]*:["']?\$`)},
	{"/api:$CI_COMMIT_SHA", "", regexp.MustCompile(`CI_REGISTRY_IMAGE["'})]*/["']?api`)},
}

var plainVariable = regexp.MustCompile(`\$(\w+)`)

// restIn is the rest of a reference with its variables as a file has them.
func restIn(file, rest string) string {
	if isMakefile(file) {
		return plainVariable.ReplaceAllString(rest, "$$(${1})")
	}
	return plainVariable.ReplaceAllString(rest, "$${${1}}")
}

// TestGivenAndTaken: a variable that one place gives an image, or a part of one, and another
// takes, changes in both, or a finding tells the line which stays. With CICONFIG_SHAPES=all each
// giver is tried with each taker.
func TestGivenAndTaken(t *testing.T) {
	t.Parallel()
	const others = "others:\n  stage: build\n  script:\n    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n    - docker push $CI_REGISTRY_IMAGE/web:$CI_COMMIT_SHA\n"
	all := os.Getenv("CICONFIG_SHAPES") == "all"
	for _, base := range []string{"$CI_REGISTRY_IMAGE", "registry.uninett.no/group/project"} {
		for _, giver := range sortedKeys(givers) {
			for _, taker := range sortedKeys(takers) {
				for i, p := range parted {
					name := fmt.Sprintf("%s/%s/%s%d", giver, taker, base[:1], i)
					h := fnv.New32a()
					h.Write([]byte(name))
					if !all && h.Sum32()%4 != 0 {
						continue
					}
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						g, u := givers[giver], takers[taker]
						value := strings.NewReplacer("@", base+p.value)
						lines := value.Replace(g.lines) + strings.ReplaceAll(u.lines, "@", p.rest)
						ci := value.Replace(g.top)
						if !strings.Contains(lines, "push") && taker != "kaniko" {
							ci += others
						}
						ci += "job:\n  stage: test\n" + value.Replace(g.keys) + "  script:\n    - |\n      " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n      ") + "\n"
						in := Input{Project: Project{Path: "group/project", OldHost: "registry.uninett.no"}, Files: []File{{".gitlab-ci.yml", []byte(ci)}}}
						for _, f := range sortedKeys(g.files) {
							in.Files = append(in.Files, File{f, []byte(value.Replace(g.files[f]))})
						}
						for _, f := range sortedKeys(u.files) {
							in.Files = append(in.Files, File{f, []byte(strings.ReplaceAll(u.files[f], "@", restIn(f, p.rest)))})
						}
						res, err := Rewrite(in)
						if err != nil {
							t.Fatal(err)
						}
						if !res.Blocked() {
							untold(t, in, res, false, func(_ File, line string) bool {
								return p.old.MatchString(line) || strings.Contains(line, "registry.uninett.no")
							})
						}
					})
				}
			}
		}
	}
}
