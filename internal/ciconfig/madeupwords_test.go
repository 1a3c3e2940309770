package ciconfig

import "strings"

// intoWords hands an image to lines as a word: an argument, what xargs reads or elements that
// are joined.
func (m *maker) intoWords(name string, script []string) []string {
	all, image := strings.Join(script, "\n"), m.images[name]
	if strings.ContainsAny(all, "'\"") || strings.Contains(all, "<<") || !strings.Contains(all, image+":") {
		return script
	}
	of := func(variable string) string { return strings.ReplaceAll(all, image+":", variable+":") }
	_, rest, _ := strings.Cut(all, image+":")
	tag, _, _ := strings.Cut(strings.Fields(rest)[0], ";")
	base, own, inTwo := strings.Cut(image, "/")
	switch m.IntN(7) {
	case 0:
		return []string{"sh -ec '" + of("$1") + "' _ " + image}
	case 1:
		return []string{"bash -ec '" + of("$0") + "' " + pick(m, []string{image, `"` + image + `"`})}
	case 2:
		return []string{"sh -ec '" + strings.ReplaceAll(all, image+":"+tag, "$1:$2") + "' -- " + image + " " + tag}
	case 3:
		return []string{"set -- " + image + " " + tag, strings.ReplaceAll(all, image+":"+tag, pick(m, []string{"$1:$2", `"$1:$2"`}))}
	case 4:
		return []string{"echo " + image + " | xargs -I{} sh -ec '" + of("{}") + "'"}
	case 5:
		if inTwo && !strings.HasPrefix(base, "$CI_REGISTRY/") {
			return []string{"parts=(" + base + " " + own + ")", `LOCAL_IMAGE=$(IFS=/; echo "${parts[*]}")`, of("$LOCAL_IMAGE")}
		}
	}
	if inTwo {
		return []string{"echo " + own + " | xargs -I{} sh -ec '" + of(base+"/{}") + "'"}
	}
	return script
}

// intoOpen takes the name of an image out of a file that only the pipeline reads.
func (m *maker) intoOpen(name string, script []string) []string {
	all := strings.Join(script, "\n")
	base, own, inTwo := strings.Cut(m.images[name], "/")
	if !inTwo || strings.Contains(base, "$CI_REGISTRY/") || strings.ContainsAny(own, "/$") || strings.Contains(all, "<<") {
		return script
	}
	m.files["names/"+name] = own + "\n"
	all = strings.ReplaceAll(all, m.images[name]+":", base+"/$n:")
	if m.chance(50) {
		return []string{"for n in $(cat names/" + name + "); do\n" + all + "\ndone"}
	}
	return []string{"n=$(cat names/" + name + ")", all}
}
