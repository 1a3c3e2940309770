package ciconfig

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// madeKustomization is such a file, with the keys that the made up projects have.
type madeKustomization struct {
	Resources []string    `yaml:"resources,omitempty"`
	Images    []madeImage `yaml:"images,omitempty"`
}

type madeImage struct {
	Name    string `yaml:"name"`
	NewName string `yaml:"newName,omitempty"`
	NewTag  string `yaml:"newTag,omitempty"`
	Digest  string `yaml:"digest,omitempty"`
}

// kustomize builds a directory, or sets the images of the kustomization in the current one.
// https://github.com/kubernetes-sigs/kustomize/blob/master/kustomize/commands/edit/set/setimage.go
func (c *call) kustomize() error {
	args := operands(c.args[1:], "-o", "--output")
	switch {
	case len(args) > 0 && args[0] == "build":
		return c.print(c.kustomized(path.Join(c.dir, append(args, ".")[1])))
	case len(args) > 3 && strings.Join(args[:3], " ") == "edit set image":
		return c.setImages(args[3:])
	}
	return status(false)
}

func (c *call) print(text string, err error) error {
	if err == nil {
		fmt.Fprint(c.out, text)
	}
	return err
}

func (c *call) kustomization(dir string) (out madeKustomization, name string, err error) {
	for _, base := range []string{"kustomization.yaml", "kustomization.yml"} {
		name = inCheckout("/", path.Join(dir, base))
		if text, ok := c.files[name]; ok {
			err = yaml.Unmarshal([]byte(text), &out)
			return out, name, err
		}
	}
	return out, "", status(false)
}

// kustomized are the resources of a directory, whose images each layer replaces in its turn.
func (c *call) kustomized(dir string) (string, error) {
	k, _, err := c.kustomization(dir)
	if err != nil {
		return "", err
	}
	var docs []string
	for _, r := range k.Resources {
		name := path.Join(dir, r)
		text, ok := c.files[inCheckout("/", name)]
		if !ok {
			if text, err = c.kustomized(name); err != nil {
				return "", err
			}
		}
		docs = append(docs, strings.TrimSpace(text)+"\n")
	}
	return imageLine.ReplaceAllStringFunc(strings.Join(docs, "---\n"), func(line string) string {
		old := imageLine.FindStringSubmatch(line)[1]
		now := old
		for _, image := range k.Images {
			now = image.applied(now)
		}
		return strings.Replace(line, old, now, 1)
	}), nil
}

// applied is a reference as an entry of images: leaves it.
func (i madeImage) applied(ref string) string {
	parts := regexp.MustCompile(`^` + regexp.QuoteMeta(i.Name) + `(:[a-zA-Z0-9_.{}-]*)?(@sha256:[a-zA-Z0-9_.{}-]*)?$`).FindStringSubmatch(ref)
	if parts == nil {
		return ref
	}
	name, end := i.Name, parts[1]+parts[2]
	if i.NewName != "" {
		name = i.NewName
	}
	if i.NewTag != "" || i.Digest != "" {
		end = ""
	}
	if i.NewTag != "" {
		end += ":" + i.NewTag
	}
	if i.Digest != "" {
		end += "@" + i.Digest
	}
	return name + end
}

var madeImageTag = regexp.MustCompile(`^(.*):([a-zA-Z0-9._-]*|\*)$`)

// setImages is kustomize edit set image: what an argument does not give is lost, but for *.
func (c *call) setImages(args []string) error {
	k, name, err := c.kustomization(c.dir)
	if err != nil {
		return err
	}
	for _, a := range args {
		image := madeImage{}
		key, value, renamed := strings.Cut(a, "=")
		if !renamed {
			value = a
		}
		to := value
		if before, digest, ok := strings.Cut(value, "@"); ok {
			to, image.Digest = before, digest
		} else if m := madeImageTag.FindStringSubmatch(value); m != nil {
			to, image.NewTag = m[1], m[2]
		} else if !renamed {
			return status(false)
		}
		if image.Name = to; renamed {
			image.Name, image.NewName = key, to
		}
		i := slices.IndexFunc(k.Images, func(o madeImage) bool { return o.Name == image.Name })
		if i < 0 {
			k.Images = append(k.Images, image)
			continue
		}
		if image.NewName == "*" {
			image.NewName = k.Images[i].NewName
		}
		if image.NewTag == "*" {
			image.NewTag = k.Images[i].NewTag
		}
		k.Images[i] = image
	}
	text, err := yaml.Marshal(k)
	c.files[name] = string(text)
	return err
}
