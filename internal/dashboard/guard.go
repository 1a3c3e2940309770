package dashboard

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets pages use what this server gives them and nothing else; scripts
// and styles only from files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// jobsPolicy is for River UI, whose components set styles on elements.
const jobsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// guard stands in front of everything: it turns away what browsers send on
// behalf of other sites and names that are not ours, and asks who it is.
func (s *server) guard(next http.Handler) http.Handler {
	// Checks Sec-Fetch-Site, and Origin against Host, of everything that may write.
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, http.StatusForbidden, "Refused", "This request came from another site. Open the dashboard itself and try again there.")
	}))
	inner := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !s.gate.login() && !ofThisMachine(r.Host) {
			// A page elsewhere may have pointed its own name at this machine, to
			// be allowed to read what we answer (DNS rebinding).
			s.refuse(w, r, http.StatusMisdirectedRequest, "Not by this name",
				"Without a login the dashboard answers only as localhost or 127.0.0.1.")
			return
		}
		who, ok := s.gate.who(r)
		if !ok {
			if len(s.gate.Users) > 0 {
				h.Set("WWW-Authenticate", `Basic realm="ecrferry", charset="UTF-8"`)
			}
			s.refuse(w, r, http.StatusUnauthorized, "Please log in", s.howToLogIn())
			return
		}
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), personKey{}, who)))
	})
}

func (s *server) howToLogIn() string {
	switch {
	case len(s.gate.Users) > 0:
		return "The dashboard needs the name and password of one of its users."
	case len(s.gate.Proxies) > 0:
		return "Come through the login proxy: only what it says about who you are counts here."
	}
	return "No login is configured, and reading without one is switched off (ECRFERRY_DASHBOARD_ANONYMOUS)."
}

// ofThisMachine says whether a Host header names this machine itself.
func ofThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// tokenCookie holds the token that forms repeat: other sites can send the
// cookie at best, never read it.
const tokenCookie = "ferry-token"

// token returns the browser's form token, giving it one when it has none.
func token(w http.ResponseWriter, r *http.Request) string {
	if c, err := r.Cookie(tokenCookie); err == nil && len(c.Value) >= 20 {
		return c.Value
	}
	t := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: tokenCookie, Value: t, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
	return t
}

// ownForm says whether a posted form holds the browser's token.
func ownForm(r *http.Request) bool {
	c, err := r.Cookie(tokenCookie)
	return err == nil && c.Value != "" && subtle.ConstantTimeCompare([]byte(c.Value), []byte(r.PostFormValue("token"))) == 1
}
