package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

var parameter = regexp.MustCompile(`(\w+)="([^"]*)"`)

// login answers a challenge: Basic with the credentials, Bearer with a token
// fetched from the realm, anonymously when there are no credentials. See
// https://distribution.github.io/distribution/spec/auth/token/.
func (s *session) login(ctx context.Context, challenge string) error {
	user, pass, known := "", "", false
	if s.Credentials != nil {
		user, pass, known = s.Credentials(s.host)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+pass))
	scheme, rest, _ := strings.Cut(challenge, " ")
	if strings.EqualFold(scheme, "Basic") {
		if !known {
			return &Error{Status: http.StatusUnauthorized, Message: "no basic auth credentials"}
		}
		s.authorization = basic
		return nil
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return &Error{Status: http.StatusUnauthorized, Message: "no usable challenge: " + challenge}
	}
	given := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
		given[m[1]] = m[2]
	}
	realm, err := url.Parse(given["realm"])
	if err != nil {
		return fmt.Errorf("realm of %s: %w", s.host, err)
	}
	realm.RawQuery = url.Values{"service": {given["service"]}, "scope": {"repository:" + s.repository + ":" + s.actions}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return err
	}
	if known {
		req.Header.Set("Authorization", basic)
	}
	res, err := s.HTTP.Do(req)
	if err != nil {
		return err
	}
	body, err := read(res, http.StatusOK)
	if err != nil {
		return err
	}
	var token struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &token); err != nil {
		return fmt.Errorf("token of %s: %w", s.host, err)
	}
	if token.Token == "" {
		token.Token = token.AccessToken
	}
	s.authorization = "Bearer " + token.Token
	return nil
}
