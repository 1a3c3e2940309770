package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// login handles docker login and its relatives. $CI_REGISTRY means ECR after
// the migration, so such a line stays; the written-out host becomes the
// variable, with the path that docker takes off.
func (r *run) login(c *command) {
	ours := false
	for i, a := range c.args {
		for _, ref := range r.references(a) {
			if !ref.host && !(ref.own && ref.sep < 0 && ref.colon < 0) {
				continue
			}
			ours = true
			s, ok := ref.f.at(ref.start)
			if !ok || len(ref.f.via(ref.start)) > 0 || !s.src.editable {
				continue
			}
			e, _ := ref.f.at(ref.end - 1)
			with := "$CI_REGISTRY"
			if w := c.argSpan(i); w.text() == (span{s.src, s.start, e.end}).text() {
				with = s.src.encoded(s.start, `"$CI_REGISTRY"`)
			}
			r.after = append(r.after, change{span: span{s.src, s.start, e.end}, with: with})
		}
	}
	if ours && !slices.Contains(c.lits, "logout") {
		r.recordLogin(credentials{c.at, c.lineOf(), false})
	}
}

// credentials are a login to the registry that a script makes or writes down.
type credentials struct {
	at     span
	text   string // the command, with what it takes its input from
	secret bool   // by which a cluster pulls
}

// lineOf is a command in a script with what stands before it in its line.
func (c *command) lineOf() string {
	at, end := int(c.call.Pos().Offset()), int(c.call.End().Offset())
	return c.ch.text[strings.LastIndexByte(c.ch.text[:at], '\n')+1 : end]
}

// recordLogin remembers credentials, once.
func (r *run) recordLogin(c credentials) {
	if !slices.Contains(r.logins, c) {
		r.logins = append(r.logins, c)
	}
}

// recordCredentials remembers those that a command other than a login writes.
func (r *run) recordCredentials(c *command, lits []string) {
	switch {
	case (lits[0] == "kubectl" || lits[0] == "oc") && slices.Contains(lits, "secret") && slices.Contains(lits, "docker-registry"):
		r.recordLogin(credentials{c.at, "", true})
	case textTools[lits[0]] && slices.ContainsFunc(c.args, func(t text) bool { return r.mentions(t) && authFile.MatchString(t.String()) }):
		r.recordLogin(credentials{c.at, c.lineOf(), false})
	}
}

// authFile is text that gives a password to a registry, as kaniko reads it, or the line of it with
// the registry.
var authFile = regexp.MustCompile(`["']auths["'\\]*\s*:|^\s*\\?"[^\s"]+"\s*:\s*\{\s*$`)

// Whose password a login has: one of AWS, or one that only GitLab takes.
var (
	ofAWS    = regexp.MustCompile(`\baws\b.*\becr\b|get-login|--username[ =]AWS\b|-u[ =]?AWS\b`)
	ofGitLab = regexp.MustCompile(`CI_JOB_TOKEN|CI_DEPLOY_(USER|PASSWORD)|gitlab-ci-token|CI_BUILD_TOKEN|gitlab\+deploy-token`)
)

// loginsKept reports logins with a user and a password. ECR takes a password that AWS
// gives for twelve hours; the templates of the platform get it by the job's identity. Those
// that go with their job or command are none.
func (r *run) loginsKept(changes []change) {
	if !slices.ContainsFunc(r.uses, func(u *use) bool { return u.ref.own && !u.ref.host }) {
		return
	}
	for _, c := range r.logins {
		switch {
		case slices.ContainsFunc(changes, func(x change) bool { return x.with == "" && c.at.within(x.span) }):
		case c.secret:
			f := r.reportWhy(Note, "login-kept", c.at, "", "here in a secret for a cluster to pull by")
			f.cause, f.Remedy = "secret", "ask the platform team whether the cluster pulls from ECR without a secret, by the identity of its nodes, and remove the line then"
		case ofAWS.MatchString(c.text):
		case ofGitLab.MatchString(c.text):
			f := r.reportWhy(Warning, "login-kept", c.at, "", "a token of GitLab's is no password for ECR, so this command is going to fail")
			f.cause, f.Owner = "token", OwnerProject
		default:
			r.report("login-kept", c.at, "").cause = "password"
		}
	}
}
