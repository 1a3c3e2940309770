package ecr

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=[0-9a-f]{64}$`)

// skew is how far a signature's time may be off. It is compared with the
// machine's clock, which the client uses, not with the sandbox's.
const skew = 5 * time.Minute

// signer checks a request's signature by signing it again with the SDK's own
// signer, and returns whose key it was. See
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.
func (s *Server) signer(r *http.Request, body []byte) (principal, *failure) {
	given := r.Header.Get("Authorization")
	if given == "" {
		return principal{}, exception("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	m := authorization.FindStringSubmatch(given)
	if m == nil {
		return principal{}, exception("IncompleteSignatureException", "Authorization header is not in the form of Signature Version 4.")
	}
	id, date, region, service, signed := m[1], m[2], m[3], m[4], strings.Split(m[5], ";")
	s.mu.Lock()
	p, known := s.kept.Keys[id]
	s.mu.Unlock()
	if !known {
		return principal{}, exception("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if region != s.options.Region {
		return principal{}, exception("InvalidSignatureException", "Credential should be scoped to a valid region. ")
	}
	if service != "ecr" {
		return principal{}, exception("InvalidSignatureException", "Credential should be scoped to correct service: 'ecr'. ")
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != date {
		return principal{}, exception("IncompleteSignatureException", "Date in Credential scope does not match YYYYMMDD from X-Amz-Date.")
	}
	if off := time.Since(at); off > skew || off < -skew {
		return principal{}, exception("InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)",
			at.Format("20060102T150405Z"), time.Now().Add(-skew).UTC().Format("20060102T150405Z"), time.Now().UTC().Format("20060102T150405Z"))
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signed, name) {
			return principal{}, exception("InvalidSignatureException", "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	again := &http.Request{Method: r.Method, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}, Host: r.Host, Header: http.Header{}}
	for _, name := range signed {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: id, SecretAccessKey: s.secret(id)}
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		return principal{}, internal(err)
	}
	if !hmac.Equal([]byte(strings.ReplaceAll(given, " ", "")), []byte(strings.ReplaceAll(again.Header.Get("Authorization"), " ", ""))) {
		return principal{}, exception("InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return p, nil
}
