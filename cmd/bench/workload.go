package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

type spec struct {
	tags, mb int
	seed     uint64
}

// tag is one line of the map.
type tag struct {
	repository, name, target string
	image                    oci.Image
}

// workload is the tags of three image names: base layers that many share, own
// layers, every fifth image for two platforms with an attestation, every fourth
// tag an alias, signatures and lists of referrers by their digest tags.
type workload struct {
	tags  []tag // the first ones are there from the start
	fresh []tag // the 5 % that come later
}

var names = []struct{ repository, prefix string }{{"group/app", ""}, {"group/app-api", "api-"}, {"group/app/web", "web-"}}

func (s spec) build() workload {
	r := rand.New(rand.NewPCG(s.seed, 7))
	total := s.tags + max(1, s.tags/20)
	var bases [4]map[bool]oci.Image // by whether it is of Docker's form
	for n := range bases {
		layer := oci.Layer{"base": noise(r, s.mb<<20/20)}
		bases[n] = map[bool]oci.Image{}
		for _, docker := range []bool{false, true} {
			bases[n][docker] = oci.Build(oci.Spec{Layers: []oci.Layer{layer}, Docker: docker})
		}
	}
	// Four fifths of the bytes are in layers of single images, of very
	// different sizes: about six in ten tags bring one of their own.
	own := s.mb << 20 * 4 / 5 / max(1, s.tags*6/10)
	var w workload
	var last oci.Image
	var lastAt int
	add := func(at int, name string, image oci.Image) {
		t := tag{repository: names[at].repository, name: name, target: names[at].prefix + name, image: image}
		if strings.HasPrefix(name, "sha256-") {
			t.target = name
		}
		if len(w.tags) < s.tags {
			w.tags = append(w.tags, t)
		} else {
			w.fresh = append(w.fresh, t)
		}
	}
	for n := 0; len(w.tags)+len(w.fresh) < total; n++ {
		at := r.IntN(len(names))
		switch kind := n % 20; {
		case kind%4 == 3 && n > 0:
			add(lastAt, fmt.Sprintf("alias-%d", n), last)
		case kind == 9 || kind == 17:
			name, image := oci.Signature(last)
			add(lastAt, name, image)
		case kind == 13:
			sbom := oci.Referrer(last, "application/spdx+json", []byte(fmt.Sprintf(`{"spdx":%d}`, n)))
			add(lastAt, oci.DigestTag(last, ""), oci.Index(sbom))
		default:
			size := max(1000, int(float64(own)*r.ExpFloat64()))
			build := func(platform string, size int) oci.Image {
				docker := kind%2 == 0
				image := oci.Build(oci.Spec{
					Layers: []oci.Layer{{"app": noise(r, size)}}, Platform: platform,
					Docker: docker, Created: time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC),
				})
				return on(bases[r.IntN(len(bases))][docker], image)
			}
			if kind%5 == 0 {
				amd := build("linux/amd64", size/2)
				last = oci.Index(amd, build("linux/arm64", size/2), oci.Attestation(amd))
			} else {
				last = build("linux/amd64", size)
			}
			lastAt = at
			add(at, fmt.Sprintf("v%d", n), last)
		}
	}
	return w
}

// on puts an image's layers on those of a base. Building both at once would
// pack the base again for every image.
func on(base, image oci.Image) oci.Image {
	low, err1 := base.Parsed()
	m, err2 := image.Parsed()
	var config, lower map[string]any
	err3 := json.Unmarshal(image.Blobs[m.Config.Digest], &config)
	err4 := json.Unmarshal(base.Blobs[low.Config.Digest], &lower)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		panic(err) // both are from oci.Build
	}
	ids := func(c map[string]any) []any { return c["rootfs"].(map[string]any)["diff_ids"].([]any) }
	config["rootfs"].(map[string]any)["diff_ids"] = slices.Concat(ids(lower), ids(config))
	delete(image.Blobs, m.Config.Digest)
	raw, _ := json.Marshal(config)
	m.Config.Digest, m.Config.Size = oci.Digest(raw), int64(len(raw))
	m.Layers = slices.Concat(low.Layers, m.Layers)
	image.Blobs[m.Config.Digest] = raw
	for _, l := range low.Layers {
		image.Blobs[l.Digest] = base.Blobs[l.Digest]
	}
	image.Manifest, _ = json.Marshal(m)
	return image
}

// noise is content that no compression makes smaller.
func noise(r *rand.Rand, n int) string {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return string(b[:n])
}

// cost is the least that a copy of some tags can cost.
type cost struct {
	requests int
	bytes    int64
	job      job // for the floor
}

// minimum counts: at the source a refusal, a token a repository, a manifest a
// tag and a child, a blob each; at the target the token, a look before and one
// after, the batches of layers, two requests a blob, a manifest each, and one
// for each further tag. had is what an earlier copy has brought.
func minimum(tags, had []tag) cost {
	there := map[string]bool{}
	var mark func(oci.Image)
	mark = func(i oci.Image) {
		there[i.Digest()] = true
		for d := range i.Blobs {
			there[d] = true
		}
		for _, c := range i.Children {
			mark(c)
		}
	}
	for _, t := range had {
		mark(t.image)
	}
	var c cost
	repositories := map[string]bool{}
	reads := map[string]bool{}
	var walk func(t tag, i oci.Image, reference string)
	walk = func(t tag, i oci.Image, reference string) {
		if there[i.Digest()] && reference == "" {
			return
		}
		for _, child := range i.Children {
			if !there[child.Digest()] {
				reads[t.repository+"@"+child.Digest()] = true
			}
			walk(t, child, "")
		}
		if !there[i.Digest()] {
			for d, body := range i.Blobs {
				if !there[d] {
					there[d] = true
					c.bytes += int64(len(body))
					c.job.Blobs = append(c.job.Blobs, jobBlob{Repository: t.repository, Digest: d})
				}
			}
		}
		there[i.Digest()] = true
		if reference == "" {
			reference = i.Digest()
		}
		c.job.Manifests = append(c.job.Manifests, jobManifest{Reference: reference, MediaType: i.MediaType, Body: i.Manifest})
	}
	for _, t := range tags {
		repositories[t.repository] = true
		reads[t.repository+":"+t.name] = true
		walk(t, t.image, t.target)
	}
	for read := range reads {
		c.job.Reads = append(c.job.Reads, read)
	}
	blobs := len(c.job.Blobs)
	c.requests = len(reads) + 3*blobs + len(c.job.Manifests) + (blobs+99)/100 + 1 // and one look
	if len(tags) > 0 {
		c.requests += 1 + len(repositories) + 1 + 1 // the refusal, tokens of both sides, a look afterwards
	}
	return c
}
