package gitlab

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// TestMaintainers names people who can act, and nobody else.
func TestMaintainers(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /user": answer(200, `{"id":9,"username":"ecrferry"}`),
		"GET /projects/5/members/all": answer(200, `[
			{"id":1,"username":"eier","name":"Eva Eier","state":"active","access_level":50},
			{"id":2,"username":"kari","name":"Kari Nordmann","state":"active","access_level":40},
			{"id":2,"username":"kari","name":"Kari Nordmann","state":"active","access_level":40},
			{"id":3,"username":"ola","name":"Ola Nordmann","state":"active","access_level":40},
			{"id":4,"username":"utvikler","name":"Ulf","state":"active","access_level":30},
			{"id":5,"username":"sluttet","name":"Per","state":"blocked","access_level":40},
			{"id":6,"username":"project_5_bot_0a1b2c","name":"deploy","state":"active","access_level":40},
			{"id":7,"username":"group_2_bot1","name":"sync","state":"active","access_level":50},
			{"id":8,"username":"service_account_12","name":"robot","state":"active","access_level":40},
			{"id":9,"username":"ecrferry","name":"ecrferry","state":"active","access_level":40}]`),
		"GET /projects/6/members/all": answer(403, `{"message":"403 Forbidden"}`),
	})
	c := connect(t, s.URL)
	got, err := c.Maintainers(t.Context(), 5)
	want := []Member{{"kari", "Kari Nordmann", 40, ""}, {"ola", "Ola Nordmann", 40, ""}, {"eier", "Eva Eier", 50, ""}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	before := len(s.seen())
	if _, err := c.Maintainers(t.Context(), 6); fault.ReasonOf(err) != ReasonNeedsAccess {
		t.Errorf("where we may not look: %v", err)
	}
	if n := len(s.seen()) - before; n != 1 {
		t.Errorf("%d requests; who we are is asked once", n)
	}
}
