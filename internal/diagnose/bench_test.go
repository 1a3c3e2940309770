package diagnose

import (
	"bytes"
	"os"
	"testing"
)

func BenchmarkMask(b *testing.B) {
	log, err := os.ReadFile("testdata/push-other-name-timestamps.log")
	if err != nil {
		b.Fatal(err)
	}
	log = bytes.Repeat(log, MaxLog/len(log))
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		Mask(log)
	}
}

func BenchmarkDiagnose(b *testing.B) {
	log, err := os.ReadFile("testdata/own-test.log")
	if err != nil {
		b.Fatal(err)
	}
	log = bytes.Repeat(log, MaxLog/len(log))
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		Diagnose(Failure{FailureReason: "script_failure", Log: log})
	}
}
