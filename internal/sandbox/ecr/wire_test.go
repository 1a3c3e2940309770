package ecr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// snapshots returns the directory of the SDK's wire snapshots: generated
// requests, answers and errors with placeholder values.
func snapshots(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/ecr").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("the SDK's module cannot be located (%v): wire formats are not checked", err)
	}
	return dir
}

// snapshot is one of the files: a first line, headers, a body.
type snapshot struct {
	first  string
	header map[string]string
	body   []byte
}

func readSnapshot(t *testing.T, path string) snapshot {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := bytes.Cut(content, []byte("\n{"))
	s := snapshot{header: map[string]string{}, body: append([]byte("{"), body...)}
	for i, line := range strings.Split(string(head), "\n") {
		if i == 0 {
			s.first = line
		} else if name, value, ok := strings.Cut(line, ": "); ok {
			s.header[name] = strings.TrimSpace(value)
		}
	}
	return s
}

// unserved are members of answers that the stand-in never sends.
var unserved = []string{"imageScanFindingsSummary", "imageScanStatus", "lastActivatedAt", "lastArchivedAt", "lastEvaluatedAt"}

// compare checks that a value has the same members of the same types as the
// SDK's. Members that the snapshot lacks are always wrong; those that the value
// lacks are, unless listed in optional.
func compare(path string, got, want any, optional func(string) bool) (problems []string) {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want an object", path, got)}
		}
		if _, free := want["key0"]; free {
			return nil // a map with keys of the user's
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				problems = append(problems, path+"."+key+" is unknown to the SDK")
			}
		}
		for key, value := range want {
			if _, ok := got[key]; ok {
				problems = append(problems, compare(path+"."+key, got[key], value, optional)...)
			} else if !optional(key) {
				problems = append(problems, path+"."+key+" is missing")
			}
		}
	case []any:
		got, ok := got.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %T, want a list", path, got)}
		}
		for i := range got {
			problems = append(problems, compare(fmt.Sprintf("%s[%d]", path, i), got[i], want[0], optional)...)
		}
	default:
		if reflect.TypeOf(got) != reflect.TypeOf(want) {
			problems = append(problems, fmt.Sprintf("%s is %T, want %T", path, got, want))
		}
	}
	return problems
}

func decode(t *testing.T, content []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return v
}

// TestWireTypes runs every served operation's snapshots through our types:
// nothing may be unknown to them, and what they write again must be the same.
func TestWireTypes(t *testing.T) {
	t.Parallel()
	dir := snapshots(t)
	roundTrip := func(t *testing.T, s snapshot, typ reflect.Type, drop []string) {
		t.Helper()
		want := without(decode(t, s.body), drop)
		content, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		value := reflect.New(typ)
		d := json.NewDecoder(bytes.NewReader(content))
		d.DisallowUnknownFields()
		if err := d.Decode(value.Interface()); err != nil {
			t.Fatalf("%s does not take the SDK's form: %v", typ, err)
		}
		again, err := json.Marshal(value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, again); !reflect.DeepEqual(got, want) {
			t.Errorf("%s writes %s, want %s", typ, again, content)
		}
	}
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := readSnapshot(t, filepath.Join(dir, "request_snapshot", name+".request.snap"))
			if request.first != "POST /" || request.header["X-Amz-Target"] != targetPrefix+name || request.header["Content-Type"] != jsonType {
				t.Errorf("the SDK sends %q %v", request.first, request.header)
			}
			roundTrip(t, request, op.in, nil)
			roundTrip(t, readSnapshot(t, filepath.Join(dir, "response_snapshot", name+".response.snap")), op.out, unserved)
		})
	}
}

// without removes members from a decoded value, at any depth.
func without(v any, names []string) any {
	switch v := v.(type) {
	case map[string]any:
		maps.DeleteFunc(v, func(key string, _ any) bool { return slices.Contains(names, key) })
		for _, child := range v {
			without(child, names)
		}
	case []any:
		for _, child := range v {
			without(child, names)
		}
	}
	return v
}

// TestWireErrors checks status and form of all our refusals, as far as the
// SDK's model has them; the others are common to all AWS services.
func TestWireErrors(t *testing.T) {
	t.Parallel()
	dir := snapshots(t)
	s := &Server{}
	part := exception("InvalidLayerPartException", "")
	part.fields = map[string]any{"registryId": "1", "repositoryName": "r", "uploadId": "u", "lastValidByteReceived": 1}
	known := []*failure{
		invalid("a", "b"), s.noRepository("r"), tagTaken("r", "t"), s.imageExists("r", "d", "t"), s.noImage("r", imageID{}), s.noLayers("r", nil),
		s.noReferenced("r", nil), digestMismatch("a", "b"), internal(errors.New("x")), part,
	}
	for _, name := range []string{
		"RepositoryAlreadyExistsException", "RepositoryNotEmptyException", "LifecyclePolicyNotFoundException", "RepositoryPolicyNotFoundException", "InvalidTagParameterException",
		"TooManyTagsException", "UploadNotFoundException", "EmptyUploadException", "LayerPartTooSmallException", "InvalidLayerException",
		"LayerAlreadyExistsException", "LayersNotFoundException", "LimitExceededException",
	} {
		known = append(known, exception(name, "text"))
	}
	for _, f := range known {
		want := readSnapshot(t, filepath.Join(dir, "response_snapshot", f.exception+".error.snap"))
		w := httptest.NewRecorder()
		f.serveAPI(w)
		if got := strconv.Itoa(w.Code); got != want.first {
			t.Errorf("%s: status %s, want %s", f.exception, got, want.first)
		}
		for _, p := range compare(f.exception, decode(t, w.Body.Bytes()), decode(t, want.body), func(string) bool { return false }) {
			t.Error(p)
		}
	}
	for _, f := range []*failure{throttled(), s.denied(principal{Kind: worker}, "PutImage", "arn")} {
		if _, err := os.Stat(filepath.Join(dir, "response_snapshot", f.exception+".error.snap")); err == nil {
			t.Errorf("%s is in the SDK's model now: check it with the others", f.exception)
		}
	}
}

// TestWireTraffic compares what the server sends with the snapshots while the
// requests of the snapshots' form come in.
func TestWireTraffic(t *testing.T) {
	t.Parallel()
	dir := snapshots(t)
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // nothing kept
	if _, err := s.CreateRepository("team/app"); err != nil {
		t.Fatal(err)
	}
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	manifest, digest := seed(t, s, "team/app", config)
	repository := map[string]any{"repositoryName": "team/app"}
	with := func(more map[string]any) map[string]any {
		m := maps.Clone(repository)
		maps.Copy(m, more)
		return m
	}
	policy := `{"rules":[` + strings.Repeat(" ", 100) + `{"rulePriority":1}]}`
	ids := []map[string]string{{"imageTag": "v1"}, {"imageTag": "none"}}
	calls := []struct {
		operation string
		request   map[string]any
	}{
		{"GetAuthorizationToken", nil},
		{"DescribeRepositories", map[string]any{"maxResults": 1}},
		{"CreateRepository", map[string]any{"repositoryName": "team/new", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": []any{map[string]any{"filter": "x*", "filterType": "WILDCARD"}}}},
		{"PutImageTagMutability", with(map[string]any{"imageTagMutability": "IMMUTABLE"})},
		{"PutLifecyclePolicy", with(map[string]any{"lifecyclePolicyText": policy})},
		{"GetLifecyclePolicy", repository},
		{"SetRepositoryPolicy", with(map[string]any{"policyText": "{}"})},
		{"GetRepositoryPolicy", repository},
		{"TagResource", map[string]any{"resourceArn": s.arn("team/app"), "tags": []any{map[string]any{"Key": "k", "Value": "v"}}}},
		{"ListTagsForResource", map[string]any{"resourceArn": s.arn("team/app")}},
		{"PutAccountSetting", map[string]any{"name": "BLOB_MOUNTING", "value": "ENABLED"}},
		{"GetAccountSetting", map[string]any{"name": "BLOB_MOUNTING"}},
		{"PutImage", with(map[string]any{"imageManifest": manifest, "imageTag": "v2"})},
		{"BatchGetImage", with(map[string]any{"imageIds": ids})},
		{"DescribeImages", with(map[string]any{"maxResults": 1})},
		{"ListImages", with(map[string]any{"maxResults": 1})},
		{"ListImageReferrers", with(map[string]any{"subjectId": map[string]any{"imageDigest": digest}})},
		{"BatchCheckLayerAvailability", with(map[string]any{"layerDigests": []string{blobOf(config), "x"}})},
		{"InitiateLayerUpload", repository},
		{"GetDownloadUrlForLayer", with(map[string]any{"layerDigest": blobOf(config)})},
		{"BatchDeleteImage", with(map[string]any{"imageIds": ids})},
	}
	// Members that a good answer may leave out.
	optional := append([]string{"nextToken", "kmsKey", "imageTagMutabilityExclusionFilters", "imageTag", "imageTags", "subjectManifestDigest", "mediaType", "layerSize", "imageDigest"}, unserved...)
	for _, c := range calls {
		status, body := s.call(t, c.operation, c.request)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", c.operation, status, body)
			continue
		}
		want := readSnapshot(t, filepath.Join(dir, "response_snapshot", c.operation+".response.snap"))
		for _, p := range compare(c.operation, decode(t, body), decode(t, want.body), func(key string) bool { return slices.Contains(optional, key) }) {
			t.Error(p)
		}
	}
}
