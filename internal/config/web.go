package config

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Dashboard says whether the worker serves the dashboard.
type Dashboard string

// The choices about the dashboard.
const (
	DashboardOn  Dashboard = "on"
	DashboardOff Dashboard = "off"
)

// Role says what somebody may do in the dashboard.
type Role string

// The roles.
const (
	RoleNobody   Role = "nobody"
	RoleViewer   Role = "viewer"
	RoleOperator Role = "operator"
)

// User is somebody who logs in to the dashboard with a password.
type User struct {
	Name string
	Role Role
	Hash string // of the password, by bcrypt
}

// users reads the lines of ECRFERRY_DASHBOARD_USERS. No problem repeats a hash.
func (ps *problems) users(s Secret) []User {
	const name = "ECRFERRY_DASHBOARD_USERS"
	var users []User
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(s.Reveal()) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, rest, _ := strings.Cut(line, ":")
		role, hash, ok := strings.Cut(rest, ":")
		switch _, err := bcrypt.Cost([]byte(hash)); {
		case !ok || user == "":
			ps.add(name, "line %d is not NAME:ROLE:HASH; worker user NAME ROLE makes one", number)
		case Role(role) != RoleViewer && Role(role) != RoleOperator:
			ps.add(name, "line %d gives %s the role %q; write viewer or operator", number, user, role)
		case err != nil:
			ps.add(name, "line %d holds no bcrypt hash for %s; worker user %s %s makes one", number, user, user, role)
		case seen[user]:
			ps.add(name, "line %d names %s a second time; keep one line", number, user)
		default:
			users = append(users, User{user, Role(role), hash})
		}
		seen[user] = true
	}
	return users
}

// proxies reads addresses and ranges of addresses.
func (ps *problems) proxies(value string) []netip.Prefix {
	var out []netip.Prefix
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if ip, ipErr := netip.ParseAddr(word); ipErr == nil {
			prefix, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil {
			ps.add("ECRFERRY_DASHBOARD_PROXIES", "%q is no address; write one such as 10.1.2.3 or 10.1.0.0/16", word)
			continue
		}
		out = append(out, prefix.Masked())
	}
	return out
}

// web wants a login wherever others than this machine can come.
func (ps *problems) web(c *Config) {
	if c.Dashboard == DashboardOff || len(c.Users) > 0 || len(c.Proxies) > 0 {
		return
	}
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		return // said already
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().IsLoopback() || host == "localhost" {
		return
	}
	ps.add("ECRFERRY_HTTP_ADDR", "others can reach the dashboard at %s, and no login is configured; set ECRFERRY_DASHBOARD_USERS (worker user makes its lines) or ECRFERRY_DASHBOARD_PROXIES, listen on 127.0.0.1, or set ECRFERRY_DASHBOARD=off", c.HTTPAddr)
}
