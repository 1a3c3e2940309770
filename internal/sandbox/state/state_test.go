package state_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
)

func TestSaver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "deep", "state.json")
	var value, writes atomic.Int64
	saver := state.NewSaver(path, nil, func() ([]byte, error) { writes.Add(1); return json.Marshal(value.Load()) })
	for range 50 {
		value.Add(1)
		saver.Changed()
	}
	load := func() (n int64) {
		if err := state.Load(path, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(30 * time.Second); load() != 50; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("state after 50 changes: %d", load())
		}
	}
	if n := writes.Load(); n > 5 {
		t.Errorf("50 changes in a burst made %d writes", n)
	}
	value.Add(1)
	saver.Changed()
	if err := saver.Close(); err != nil {
		t.Fatal(err)
	}
	if got := load(); got != 51 {
		t.Errorf("state after Close: %d, want 51", got)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	n := 7
	if err := state.Load(path, &n); err != nil || n != 7 {
		t.Errorf("missing file: %d, %v", n, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := state.Load(path, &n); err == nil {
		t.Error("a broken file is no error")
	}
}
