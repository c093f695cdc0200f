// Package proc starts processes that outlive the launcher and finds and ends
// exactly those again, whatever happened in between.
package proc

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Marker is the environment variable every started process carries. Its value
// is the cluster's state directory. Children inherit it (containerd's shims,
// for one), so a process belongs to a cluster if and only if it carries it.
const Marker = "MODELCACHE_TEST_CLUSTER"

// searchPath does not depend on the caller's: sudo and cron drop the sbin ones.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Owner is whom processes belong to: a cluster's state directory, and
// optionally a part of it (a node).
type Owner struct {
	StateDir string
	Part     string
}

func (o Owner) value() string {
	if o.Part == "" {
		return o.StateDir
	}
	return o.StateDir + "#" + o.Part
}

// Environment is what processes of the owner run with. Proxy settings of the
// caller are left out: the parts of a cluster talk to each other only.
func (o Owner) Environment() []string {
	return []string{searchPath, "HOME=/root", "LANG=C.UTF-8", Marker + "=" + o.value()}
}

// starting is held for reading while a process is started; refused ends that.
var (
	starting sync.RWMutex
	refused  bool
)

// Refuse makes every later Start fail, and waits for those under way. What is
// killed after it stays dead.
func Refuse() {
	starting.Lock()
	defer starting.Unlock()
	refused = true
}

// Process is a started process.
type Process struct {
	Name string
	Pid  int
	Log  string

	exited chan struct{}
}

// Options are the rarely needed properties of a start.
type Options struct {
	Cloneflags uintptr  // namespaces of its own
	Env        []string // added to the owner's
}

// Start runs argv in its own session, its output appended to logFile, and
// records it in pidFile.
func Start(owner Owner, name string, argv []string, logFile, pidFile string, options Options) (*Process, error) {
	starting.RLock()
	defer starting.RUnlock()
	if refused {
		return nil, fmt.Errorf("%s is not started any more", name)
	}
	for _, file := range []string{logFile, pidFile} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command(argv[0], argv[1:]...)
	command.Env = append(owner.Environment(), options.Env...)
	command.Dir = "/"
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: options.Cloneflags}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w", name, err)
	}
	process := &Process{Name: name, Pid: command.Process.Pid, Log: logFile, exited: make(chan struct{})}
	go func() {
		_ = command.Wait() // reaps it while the launcher runs; init does afterwards
		close(process.exited)
	}()
	started, err := startTime(process.Pid)
	if err != nil {
		return process, process.Failure("ended at once")
	}
	record := fmt.Sprintf("%d %s\n", process.Pid, started)
	if err := os.WriteFile(pidFile, []byte(record), 0o644); err != nil {
		return process, err
	}
	return process, nil
}

// WaitFor polls until ready says yes, the process ends, or time is up.
func (p *Process) WaitFor(what string, limit time.Duration, ready func() bool) error {
	deadline := time.Now().Add(limit)
	for pause := 10 * time.Millisecond; ; pause = min(pause*3/2, 200*time.Millisecond) {
		if ready() {
			return nil
		}
		select {
		case <-p.exited:
			return p.Failure("ended before " + what)
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			return p.Failure(fmt.Sprintf("was not done after %s: %s", limit, what))
		}
	}
}

// Failure is an error about the process with the end of its log.
func (p *Process) Failure(what string) error {
	return fmt.Errorf("%s %s; the end of %s:\n%s", p.Name, what, p.Log, Tail(p.Log, 25))
}

// Tail is the last lines of a file, indented.
func Tail(file string, lines int) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return "    (" + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	for i, line := range all {
		if len(line) > 400 {
			line = line[:400] + "…"
		}
		all[i] = "    " + line
	}
	return strings.Join(all, "\n")
}
