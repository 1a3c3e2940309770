package ciconfig

import (
	"slices"
	"strings"
)

// Jib, and Spring Boot, build and push images out of Maven and Gradle.

// jibImage says whether an argument names the image that Jib or Spring Boot builds
// and pushes out of Maven or Gradle.
// https://github.com/GoogleContainerTools/jib/tree/master/jib-gradle-plugin#build-your-image
func jibImage(lits []string, arg string) bool {
	if strings.HasPrefix(arg, "-Djib.to.image=") || strings.HasPrefix(arg, "-Dspring-boot.build-image.imageName=") {
		return true
	}
	return (strings.HasPrefix(arg, "-Dimage=") || strings.HasPrefix(arg, "--image=")) && len(lits) > 0 && javaBuilds[lits[0]] &&
		slices.ContainsFunc(lits[1:], func(l string) bool { return strings.Contains(l, "jib") })
}

// jibFiles are those that give Jib's image a name where its command gives none.
var jibFiles = map[string]bool{"pom.xml": true, "build.gradle": true, "build.gradle.kts": true}

// javaBuilds are the programs that run Jib.
var javaBuilds = map[string]bool{"mvn": true, "mvnw": true, "gradle": true, "gradlew": true}

// jibTags records the list of further tags that Jib pushes the image under.
// https://github.com/GoogleContainerTools/jib/tree/master/jib-maven-plugin#extended-usage
func (r *run) jibTags(c *command, lits []string, image int) {
	for i, t := range c.args {
		f := r.flatten(t)
		list, ok := strings.CutPrefix(f.s, "-Djib.to.tags=")
		if !ok {
			continue
		}
		at := len(f.s) - len(list)
		for _, tag := range strings.Split(list, ",") {
			if tag != "" {
				r.bareTagAt(c, lits, image, i, f.cut(at, at+len(tag)))
			}
			at += len(tag) + 1
		}
	}
}
