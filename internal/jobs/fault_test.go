package jobs_test

import (
	"net/http"
	"sync"
)

// badGateway answers every third request with 502.
func badGateway(mu *sync.Mutex, n *int) func(*http.Request) (int, string, bool) {
	return func(*http.Request) (int, string, bool) {
		mu.Lock()
		defer mu.Unlock()
		*n++
		return http.StatusBadGateway, "GitLab is not responding", *n%3 == 0
	}
}
