// Package templates holds the platform's template repositories: the older
// helpers that projects include as a file, and the newer CI/CD components.
package templates

// Projects returns the template repositories: project path -> file path -> content.
func Projects() map[string]map[string]string { return nil }

// Releases returns the version tags of the component projects, oldest first:
// `component: …@2` resolves to the highest 2.x.y among them.
func Releases() map[string][]string { return nil }
