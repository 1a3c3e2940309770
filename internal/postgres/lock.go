package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errHeld says that somebody else holds a lock.
var errHeld = errors.New("held by another process")

const (
	exclusive = syscall.LOCK_EX
	shared    = syscall.LOCK_SH
)

// fileLock is a held flock(2). The kernel lets go of it when the process ends,
// however that happens; and children do not inherit it, since Go opens files
// with O_CLOEXEC.
type fileLock struct{ file *os.File }

// try takes a lock at once or returns errHeld.
func try(path string, kind int) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), kind|syscall.LOCK_NB)
	if err == nil {
		return &fileLock{file: file}, nil
	}
	_ = file.Close() // nothing was written
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errHeld
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// acquire takes a lock as soon as it is free.
func acquire(ctx context.Context, path string, kind int) (*fileLock, error) {
	for {
		l, err := try(path, kind)
		if !errors.Is(err, errHeld) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w", path, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// release lets go of the lock.
func (l *fileLock) release() { _ = l.file.Close() } // nothing was written
