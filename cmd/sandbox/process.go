package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program of the demo that outlives the one that started it: its
// id stands in DIR/NAME.pid, its output in DIR/NAME.log.
type process struct {
	dir  layout
	name string
}

// pid returns the process's id, 0 when it does not run. A number in the file
// counts only if the program behind it is ours: process ids return.
func (p process) pid() int {
	raw, err := os.ReadFile(p.dir.path(p.name + ".pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		return 0
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(cmdline), p.name) {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		return 0
	}
	return pid
}

// start runs the program beside this one, in a session of its own.
func (p process) start(env []string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.dir.path(p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(self), p.name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w (run make build first)", p.name, err)
	}
	go cmd.Wait() // so that it does not stay as a zombie when it ends before us
	return os.WriteFile(p.dir.path(p.name+".pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
}

// stop asks the program to end, and waits until it has.
func (p process) stop(patience time.Duration) error {
	pid := p.pid()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if p.pid() == 0 {
			os.Remove(p.dir.path(p.name + ".pid"))
			return nil
		}
	}
	return fmt.Errorf("%s (process %d) does not end; see %s", p.name, pid, p.dir.path(p.name+".log"))
}

// await polls ok until it says true, the process ends, or time is up.
func (p process) await(ctx context.Context, what string, patience time.Duration, ok func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if ok() {
			return nil
		}
		if p.pid() == 0 {
			return fmt.Errorf("%s ended before %s; the end of its log:\n%s", p.name, what, p.tail())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: %s took longer than %v; the end of its log:\n%s", p.name, what, patience, p.tail())
}

func (p process) tail() string {
	raw, _ := os.ReadFile(p.dir.path(p.name + ".log"))
	return string(raw[max(0, len(raw)-2000):])
}
