package ciconfig

import (
	"fmt"
	"strings"
)

// charts are lines that deploy by a chart of the repository, which is written the first time:
// its values give the registry, the path and the tag of an image together or apart.
func (m *maker) charts() (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if m.files["deploy/chart/Chart.yaml"] == "" {
		m.chart()
	}
	tag := pick(m, m.tags["web"])
	env := pick(m, []string{"staging", "production", "$TARGET"})
	if env == "$TARGET" {
		add("TARGET=%s", pick(m, []string{"staging", "production"}))
	}
	helm := pick(m, []string{"helm upgrade --install web deploy/chart", "helm upgrade -i web ./deploy/chart --namespace shop", "helm template web deploy/chart"}) + pick(m, []string{"", " -f deploy/values-" + env + ".yaml", " --values deploy/values-" + env + ".yaml"})
	set := pick(m, []string{"--set", "--set", "--set-string"})
	image := pick(m, []string{m.images["web"], "$CI_REGISTRY_IMAGE/web"})
	switch m.chartForm {
	case 0:
		add("%s %s", helm, pick(m, []string{
			fmt.Sprintf("%s image.registry=$CI_REGISTRY %[1]s image.repository=$CI_PROJECT_PATH/web %[1]s image.tag=%[2]s", set, tag),
			fmt.Sprintf("%s image.registry=$CI_REGISTRY,image.repository=$CI_PROJECT_PATH/web,image.tag=%s", set, tag),
			fmt.Sprintf("%s image.tag=%s", set, tag),
		}))
	case 1:
		add("%s %s", helm, pick(m, []string{
			fmt.Sprintf("%s image.repository=%s %[1]s image.tag=%[3]s", set, image, tag), fmt.Sprintf("%s image.tag=%s", set, tag), fmt.Sprintf(`%s image.tag="%s"`, set, tag),
			fmt.Sprintf("%s image.repository=%s", set, image),
		}))
	case 2:
		add("%s %s", helm, pick(m, []string{
			fmt.Sprintf("%s global.registry=$CI_REGISTRY_IMAGE %[1]s global.tag=%[2]s", set, tag), fmt.Sprintf("%s global.tag=%s", set, tag), fmt.Sprintf("%s global.registry=${CI_REGISTRY_IMAGE},global.tag=%s", set, tag),
		}))
	case 3:
		add("%s %s", helm, pick(m, []string{fmt.Sprintf("%s web.image=%s:%s", set, image, tag), fmt.Sprintf(`%s "web.image=%s:%s"`, set, image, tag)}))
	}
	if m.chance(20) && !strings.Contains(helm, "TARGET") {
		return []string{"for env in staging production; do " + strings.ReplaceAll(strings.ReplaceAll(out[0], "staging", "$env"), "production", "$env") + "; done"}
	}
	return out
}

// chart writes the chart, and the values of two environments.
func (m *maker) chart() {
	m.chartForm = m.IntN(4)
	own := "registry.uninett.no/team/shop"
	values := []string{
		"image:\n  registry: registry.uninett.no\n  repository: team/shop/web\n  tag: latest\n",
		"image:\n  repository: " + own + "/web\n  tag: " + pick(m, []string{"latest", `""`, "stable"}) + "\n",
		"global:\n  registry: " + own + "\n  tag: latest\n",
		"web:\n  image: " + own + "/web:latest\n",
	}[m.chartForm]
	image := []string{
		`"{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag }}"`,
		`"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"`,
		`"{{ .Values.global.registry }}/web:{{ .Values.global.tag }}"`,
		`{{ .Values.web.image }}`,
	}[m.chartForm]
	m.files["deploy/chart/Chart.yaml"] = "apiVersion: v2\nname: web\nversion: 0.1.0\nappVersion: stable\n"
	m.files["deploy/chart/values.yaml"] = "replicas: 1\n" + pick(m, []string{values, values, "image: {}\nglobal: {}\nweb: {}\n"})
	m.files["deploy/chart/templates/deployment.yaml"] = "kind: Deployment\nspec:\n  replicas: {{ .Values.replicas }}\n  template:\n    spec:\n      containers:\n        - name: web\n          image: " + image + "\n"
	for _, env := range []string{"staging", "production"} {
		m.files["deploy/values-"+env+".yaml"] = "replicas: 2\n" + pick(m, []string{"", "", values, strings.ReplaceAll(values, "latest", "stable")})
	}
}
