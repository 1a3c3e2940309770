package copy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func TestCopiesByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := oci.Layer{"base": "shared by all"}
	amd := oci.Build(oci.Spec{Layers: []oci.Layer{base, {"a": "amd64"}}})
	arm := oci.Build(oci.Spec{Platform: "linux/arm64", Layers: []oci.Layer{base, {"a": "arm64"}}})
	multi := w.push("group/app", "1.0", oci.Index(amd, arm, oci.Attestation(amd)))
	w.push("group/app", "stable", multi)
	old := w.push("group/app-api", "1.0", oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{base, {"b": "docker"}}}))
	list := w.push("group/app/web", "1.0", oci.Index(
		oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{base, {"c": "1"}}}),
		oci.Build(oci.Spec{Docker: true, Platform: "linux/arm64", Layers: []oci.Layer{base, {"c": "2"}}})))
	signatureTag, signature := oci.Signature(old)
	w.push("group/app-api", signatureTag, signature)
	childTag, childSignature := oci.Signature(arm)
	w.push("group/app", childTag, childSignature)
	sbom := oci.Referrer(old, "application/spdx+json", []byte(`{"spdx":1}`))
	listTag := oci.DigestTag(old, "")
	referrers := w.push("group/app-api", listTag, oci.Index(sbom))
	strayTag, stray := oci.Signature(number(99))
	w.push("group/app-api", strayTag, stray)

	e := w.engine()
	plan := w.plan(e, request())
	before := w.ecr.Requests()
	if n := w.ecr.Writes(); n["images"]+n["layers"] > 0 {
		t.Fatalf("planning wrote: %v", n)
	}
	// A plan can be stored.
	stored, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	plan = copy.Plan{}
	if err := json.Unmarshal(stored, &plan); err != nil {
		t.Fatal(err)
	}
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	want(t, rows, map[string]string{
		"group/app:1.0": "copied", "group/app:stable": "copied", "group/app-api:1.0": "copied", "group/app/web:1.0": "copied",
		"group/app-api:" + signatureTag: "copied", "group/app:" + childTag: "copied", "group/app-api:" + listTag: "copied",
		"group/app-api:" + strayTag: "left-out: is not copied",
	})
	w.same("1.0", multi)
	w.same("stable", multi)
	w.same("api-1.0", old)
	w.same("web-1.0", list)
	w.same(signatureTag, signature)
	w.same(childTag, childSignature)
	w.same(listTag, referrers)
	w.same(sbom.Digest(), sbom)
	wantTags := []string{"1.0", "stable", "api-1.0", "web-1.0", signatureTag, childTag, listTag}
	slices.Sort(wantTags)
	if got := w.tags(); !slices.Equal(got, wantTags) {
		t.Errorf("tags at the target: %v", got)
	}

	// What was planned is what was sent: each blob once, however many share it.
	after := w.ecr.Requests()
	if n := after["PutImage"] - before["PutImage"]; n != plan.Forecast.Manifests {
		t.Errorf("%d manifests written, %d planned", n, plan.Forecast.Manifests)
	}
	if n := w.wrote("PUT blobs/uploads/put 201"); n != plan.Forecast.Blobs || n != after["InitiateLayerUpload"]-before["InitiateLayerUpload"] {
		t.Errorf("%d blobs written, %d planned", n, plan.Forecast.Blobs)
	}
	if n := w.read("GET blobs 200"); n != plan.Forecast.Blobs {
		t.Errorf("%d blobs read, %d planned", n, plan.Forecast.Blobs)
	}
	if n := w.wrote("POST blobs/uploads 401") + w.wrote("PUT manifests 401") + w.wrote("HEAD blobs 200") + w.wrote("HEAD manifests 200"); n > 0 {
		t.Errorf("needless requests to the door: %v", w.written)
	}

	// Again, by a worker that remembers nothing.
	e = w.engine()
	writes := w.ecr.Writes()
	rows = w.run(e, request())
	for k, r := range rows {
		if r.State != copy.Present && k != "group/app-api:"+strayTag {
			t.Errorf("second run: %s is %s (%s)", k, r.State, r.Reason)
		}
	}
	if got := w.ecr.Writes(); fmt.Sprint(got) != fmt.Sprint(writes) {
		t.Errorf("the second run wrote: %v, before %v", got, writes)
	}
	if n := w.read("GET blobs 200"); n > 0 {
		t.Errorf("the second run read %d blobs", n)
	}
	if n := len(w.written); n > 0 {
		t.Errorf("the second run went to the door: %v", w.written)
	}
}

func TestReferrersThroughTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := w.push("group/app", "1", number(1))
	sbom := oci.Referrer(image, "application/spdx+json", []byte(`{}`))
	w.push("group/app", "", sbom)
	w.answer("GET", "/referrers/"+image.Digest(), 200, string(oci.Index(sbom, image).Manifest))
	rows := w.run(w.engine(), request())
	k := "group/app@" + sbom.Digest()
	want(t, rows, map[string]string{"group/app:1": "copied", k: "copied: refers to " + image.Digest()})
	w.same(sbom.Digest(), sbom)
	// A referrer that was lost on the way, as by a kill, is brought later.
	want(t, w.run(w.engine(), request()), map[string]string{k: "present"})
}

func TestManyImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 60 {
		w.push("group/app-api", fmt.Sprintf("v%d", n), number(n))
	}
	e := w.engine()
	plan := w.plan(e, request())
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 60 || len(w.tags()) != 60 {
		t.Errorf("%d rows, %d tags", len(rows), len(w.tags()))
	}
	if n := plan.Forecast.Blobs; n != 1+2*60 {
		t.Errorf("%d blobs for 60 images on one base layer, want 121", n)
	}
	if plan.Blobs[0].Shared != 60 {
		t.Error("the shared layer does not go first")
	}
	if n := w.ecr.Requests()["BatchCheckLayerAvailability"]; n != 2 {
		t.Errorf("%d questions about 121 blobs, want 2", n)
	}
	if n := w.ecr.Requests()["DescribeImages"]; n != 2 {
		t.Errorf("%d lists of the target, want one before and one after", n)
	}
}
