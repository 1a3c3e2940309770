package diagnose

import (
	"bytes"
	"regexp"
	"slices"
)

// masked stands for a secret, in the runner's own words.
const masked = "[MASKED]"

// secret is a pattern; the groups that are named in keep stay, the rest of the
// match becomes masked.
type secret struct {
	pattern *regexp.Regexp
	// hints are lower-case words of which a log must hold one for the pattern to
	// be tried at all: a search for words is much cheaper.
	hints []string
	keep  string // a replacement template with ${1}, ${2}
	// value is the group that holds the secret. A value that is only a
	// variable's name ($CI_REGISTRY_PASSWORD) is none. 0: always masked.
	value int
}

var secrets = []secret{
	{hints: []string{"private key-----"}, pattern: regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), keep: masked},
	// Headers, as printed by curl -v and others: all that follows.
	{hints: []string{"authorization", "-token", "cookie"}, pattern: regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|private-token|job-token|deploy-token|x-vault-token|x-auth-token|x-amz-security-token|set-cookie|cookie)(["']?\s*[:=]\s*["']?)([^\r\n"']+)`), keep: "${1}${2}" + masked, value: 3},
	// User and password, or a token, in an address.
	{hints: []string{"://"}, pattern: regexp.MustCompile(`(\b[a-zA-Z][a-zA-Z0-9+.\-]*://)([^/\s@"'<>]+)@`), keep: "${1}" + masked + "@", value: 2},
	// docker login -p, and what is piped into it.
	{hints: []string{"login"}, pattern: regexp.MustCompile(`(\blogin\b[^\r\n|;&]*?\s(?:-p\s*=?|--password(?:\s+|=)))("[^"\r\n]*"|'[^'\r\n]*'|[^\s\x1b]+)`), keep: "${1}" + masked, value: 2},
	{hints: []string{"login"}, pattern: regexp.MustCompile(`(\b(?:echo|printf)\s+(?:-\w+\s+)*)("[^"\r\n]*"|'[^'\r\n]*'|[^\s|]+)(\s*\|\s*\S+(?:\s+\S+)?\s+login\b)`), keep: "${1}" + masked + "${3}", value: 2},
	{hints: []string{`"auth"`}, pattern: regexp.MustCompile(`("auth"\s*:\s*")([^"\r\n]+)`), keep: "${1}" + masked, value: 2},
	// name=value and "name": "value", by the name.
	{hints: []string{"password", "passwd", "secret", "token", "key", "credential"}, pattern: regexp.MustCompile(`(?i)\b([a-z0-9_.\-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[a-z0-9_]*["']?\s*(?:=|:\s)\s*["']?)([^\s"',;&\x1b]+)`), keep: "${1}" + masked, value: 2},
	{hints: []string{"password", "passwd", "secret", "token", "key", "credential"}, pattern: regexp.MustCompile(`(?i)("[a-z0-9_.\-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)[a-z0-9_]*"\s*:\s*")([^"\r\n]+)`), keep: "${1}" + masked, value: 2},
	{hints: []string{"x-amz-"}, pattern: regexp.MustCompile(`(?i)([?&]x-amz-(?:signature|credential|security-token)=)([^&\s"']+)`), keep: "${1}" + masked, value: 2},
	// Secrets that one knows by their shape: tokens of GitLab, AWS key ids,
	// JSON Web Tokens and ECR passwords (base64 of JSON), ECR authorization
	// tokens (base64 of "AWS:"), Vault, GitHub, Slack, npm.
	{hints: []string{"gl"}, pattern: regexp.MustCompile(`\bgl[a-z]{2,6}-[0-9A-Za-z_.\-]{12,}`), keep: masked},
	{hints: []string{"akia", "asia", "abia", "acca"}, pattern: regexp.MustCompile(`\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b`), keep: masked},
	{hints: []string{"eyj"}, pattern: regexp.MustCompile(`\beyJ[A-Za-z0-9_\-+/=.]{20,}`), keep: masked},
	// A docker configuration in base64 whose JSON has line breaks.
	{hints: []string{"ewog", "ewoj"}, pattern: regexp.MustCompile(`\bewo[gJ][A-Za-z0-9+/=]{20,}`), keep: masked},
	// curl -u user:password, skopeo --dest-creds user:password.
	{hints: []string{"curl", "creds"}, pattern: regexp.MustCompile(`(\bcurl\b[^\r\n|;&]*?\s(?:-u\s*|--user[ =])["']?[^\s:"']+:|--(?:src-|dest-)?creds[ =]["']?[^\s:"']+:)([^\s"'\x1b]+)`), keep: "${1}" + masked, value: 2},
	{hints: []string{"qvdto"}, pattern: regexp.MustCompile(`\bQVdTO[A-Za-z0-9+/=]{20,}`), keep: masked},
	{hints: []string{"hv", "gh", "github_pat_", "xox", "npm_"}, pattern: regexp.MustCompile(`\bhv[sbr]\.[A-Za-z0-9_\-]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bxox[abprs]-[A-Za-z0-9\-]{10,}|\bnpm_[A-Za-z0-9]{30,}`), keep: masked},
}

var variableName = regexp.MustCompile(`^["']?\$(?:\{?[A-Za-z_][A-Za-z0-9_]*\}?|env:\w+)["']?$`)

// Mask returns the log with everything that looks like a secret replaced by
// [MASKED]. It masks rather too much than too little. The argument is not changed.
func Mask(log []byte) []byte {
	// Masking makes no new secrets, so the hints may be looked for once.
	out := bytes.Clone(log)
	low := bytes.ToLower(log)
	for _, s := range secrets {
		if !slices.ContainsFunc(s.hints, func(hint string) bool { return bytes.Contains(low, []byte(hint)) }) {
			continue
		}
		if s.value == 0 {
			out = s.pattern.ReplaceAllLiteral(out, []byte(s.keep))
			continue
		}
		out = replace(out, s)
	}
	return out
}

func replace(log []byte, s secret) []byte {
	matches := s.pattern.FindAllSubmatchIndex(log, -1)
	if matches == nil {
		return log
	}
	out := make([]byte, 0, len(log))
	end := 0
	for _, m := range matches {
		out = append(out, log[end:m[0]]...)
		if variableName.Match(log[m[2*s.value]:m[2*s.value+1]]) {
			out = append(out, log[m[0]:m[1]]...)
		} else {
			out = s.pattern.Expand(out, []byte(s.keep), log, m)
		}
		end = m[1]
	}
	return append(out, log[end:]...)
}
