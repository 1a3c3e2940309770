package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

func hash(t *testing.T) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte("correct horse battery"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestDashboardUsers(t *testing.T) {
	t.Parallel()
	h := hash(t)
	c, err := Load(given("ECRFERRY_DASHBOARD_USERS", "# ours\nola:operator:"+h+"\n\nkari:viewer:"+h+"\n", "ECRFERRY_DASHBOARD_PROXIES", "10.1.2.3, 10.8.0.7/16,::1"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]User{{"ola", RoleOperator, h}, {"kari", RoleViewer, h}}, c.Users); diff != "" {
		t.Error(diff)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32"), netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("::1/128")}
	if !slices.Equal(c.Proxies, want) {
		t.Errorf("proxies %v, want %v", c.Proxies, want)
	}
	for _, wrong := range []string{"ola", "ola:operator", "ola:operator:correct horse battery", "ola:admin:" + h, ":viewer:" + h, "ola:viewer:" + h + "\nola:viewer:" + h} {
		_, err := Load(given("ECRFERRY_DASHBOARD_USERS", wrong))
		if got := variables(t, err); !slices.Equal(got, []string{"ECRFERRY_DASHBOARD_USERS"}) {
			t.Errorf("%.20q: problems with %v: %v", wrong, got, err)
		} else if strings.Contains(err.Error(), "battery") || strings.Contains(err.Error(), h) {
			t.Errorf("the problem repeats a secret: %v", err)
		}
	}
	if _, err := Load(given("ECRFERRY_DASHBOARD_PROXIES", "10.1.2")); err == nil {
		t.Error("half an address is taken for one")
	}
}

// TestDashboardLogin refuses to show the dashboard to others without a login.
func TestDashboardLogin(t *testing.T) {
	t.Parallel()
	users := "ola:viewer:" + hash(t)
	for _, c := range []struct {
		name string
		env  []string
		ok   bool
	}{
		{"loopback", []string{"ECRFERRY_HTTP_ADDR", "127.0.0.1:8080"}, true},
		{"loopback by name", []string{"ECRFERRY_HTTP_ADDR", "localhost:8080"}, true},
		{"loopback in IPv6", []string{"ECRFERRY_HTTP_ADDR", "[::1]:8080"}, true},
		{"everywhere", []string{"ECRFERRY_HTTP_ADDR", "0.0.0.0:8080"}, false},
		{"everywhere, unsaid", []string{"ECRFERRY_HTTP_ADDR", ":8080"}, false},
		{"a name that may be anything", []string{"ECRFERRY_HTTP_ADDR", "localhost.example.org:8080"}, false},
		{"everywhere with users", []string{"ECRFERRY_HTTP_ADDR", ":8080", "ECRFERRY_DASHBOARD_USERS", users}, true},
		{"everywhere behind a proxy", []string{"ECRFERRY_HTTP_ADDR", ":8080", "ECRFERRY_DASHBOARD_PROXIES", "10.0.0.1"}, true},
		{"everywhere without it", []string{"ECRFERRY_HTTP_ADDR", ":8080", "ECRFERRY_DASHBOARD", "off"}, true},
	} {
		config, err := Load(given(c.env...))
		if err != nil {
			t.Fatal(err)
		}
		if err := config.Need(Web); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
