package jobs_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
)

// badGateway answers about one request in four with 502, the same ones in each run.
func badGateway() func(*http.Request) (int, string, bool) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	return func(*http.Request) (int, string, bool) {
		mu.Lock()
		defer mu.Unlock()
		return http.StatusBadGateway, "GitLab is not responding", dice.IntN(4) == 0
	}
}
