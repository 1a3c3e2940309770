package dashboard

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Role says what somebody may do.
type Role string

// The roles. Everybody who may act may read.
const (
	Nobody   Role = ""
	Viewer   Role = "viewer"
	Operator Role = "operator"
)

// User is somebody who logs in with a password.
type User struct {
	Name string
	Role Role
	Hash string // bcrypt
}

// Access says who may do what. With Users or Proxies a login is needed;
// without, everybody has the role Anonymous and the dashboard answers only to
// names of this machine, so it must listen on loopback only.
type Access struct {
	Users []User
	// Proxies are the addresses whose word about who somebody is counts: the
	// user's name in UserHeader, groups in GroupsHeader (separated by commas).
	// Members of Operators have the role operator, others may read.
	Proxies      []netip.Prefix
	UserHeader   string
	GroupsHeader string
	Operators    string
	Anonymous    Role
}

// login says whether a login is needed.
func (a Access) login() bool { return len(a.Users) > 0 || len(a.Proxies) > 0 }

// person is who makes a request.
type person struct {
	Name string
	Role Role
}

// CanAct is for templates.
func (p person) CanAct() bool { return p.Role == Operator }

type personKey struct{}

// personOf returns who makes the request; guard has put it there.
func personOf(r *http.Request) person {
	p, _ := r.Context().Value(personKey{}).(person)
	return p
}

// gate finds out who somebody is.
type gate struct {
	Access
	users map[string]User
	// known remembers passwords that were right, so that bcrypt's deliberate
	// slowness is paid once: keyed digests, never the passwords themselves.
	mu    sync.Mutex
	known map[[sha256.Size]byte]bool
	key   []byte
	// turnstile bounds how much guessing costs this process.
	turnstile chan struct{}
	dummy     []byte
}

func newGate(a Access) (*gate, error) {
	g := &gate{Access: a, users: map[string]User{}, known: map[[sha256.Size]byte]bool{}, key: []byte(rand.Text()), turnstile: make(chan struct{}, 2)}
	for _, u := range a.Users {
		cost, err := bcrypt.Cost([]byte(u.Hash))
		if err != nil {
			return nil, fmt.Errorf("dashboard user %s: %w", u.Name, err)
		}
		g.users[u.Name] = u
		// Unknown names take as long as known ones.
		if g.dummy == nil {
			if g.dummy, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost); err != nil {
				return nil, err
			}
		}
	}
	if len(a.Proxies) > 0 && a.UserHeader == "" {
		return nil, errors.New("trusted proxies without the name of the header that holds the user")
	}
	return g, nil
}

// who returns who makes a request; false when a login is needed.
func (g *gate) who(r *http.Request) (person, bool) {
	if !g.login() {
		return person{Name: "anonymous@" + clientAddress(r), Role: g.Anonymous}, g.Anonymous != Nobody
	}
	if p, ok := g.byProxy(r); ok {
		return p, true
	}
	if name, password, ok := r.BasicAuth(); ok {
		return g.byPassword(r.Context(), name, password)
	}
	return person{}, false
}

// byProxy believes the headers of trusted proxies, and of nobody else.
func (g *gate) byProxy(r *http.Request) (person, bool) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.ContainsFunc(g.Proxies, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) }) {
		return person{}, false
	}
	// A second header of the name could be one that the proxy passed through.
	names := r.Header.Values(g.UserHeader)
	if len(names) != 1 || strings.TrimSpace(names[0]) == "" {
		return person{}, false
	}
	p := person{Name: strings.TrimSpace(names[0]), Role: Viewer}
	if groups := r.Header.Values(g.GroupsHeader); g.Operators != "" && len(groups) == 1 {
		for group := range strings.SplitSeq(groups[0], ",") {
			if strings.TrimSpace(group) == g.Operators {
				p.Role = Operator
			}
		}
	}
	return p, true
}

func (g *gate) byPassword(ctx context.Context, name, password string) (person, bool) {
	u, known := g.users[name]
	if len(g.users) == 0 || len(password) > 72 { // bcrypt reads no more
		return person{}, false
	}
	mac := hmac.New(sha256.New, g.key)
	fmt.Fprintf(mac, "%d:%s%s%s", len(name), name, password, u.Hash)
	digest := [sha256.Size]byte(mac.Sum(nil))
	g.mu.Lock()
	seen := g.known[digest]
	g.mu.Unlock()
	if seen {
		return person{u.Name, u.Role}, true
	}
	select {
	case g.turnstile <- struct{}{}:
		defer func() { <-g.turnstile }()
	case <-ctx.Done():
		return person{}, false
	}
	hash := g.dummy
	if known {
		hash = []byte(u.Hash)
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return person{}, false
	}
	g.mu.Lock()
	g.known[digest] = true
	g.mu.Unlock()
	return person{u.Name, u.Role}, true
}

// clientAddress is the address that a request comes from, without its port.
func clientAddress(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown"
	}
	return from.Addr().Unmap().String()
}
