package proc

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// System call numbers, the same on every architecture. A pidfd keeps naming
// one process even if it ends and its pid is used again, so what was checked
// is what gets the signal.
const (
	sysPidfdSendSignal = 424
	sysPidfdOpen       = 434
)

// killIf kills a process if the check, made while its pidfd is held, says that
// it is the right one.
func killIf(pid int, right func() bool) error {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if errno == syscall.ESRCH {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("process %d cannot be opened: %w", pid, errno)
	}
	defer syscall.Close(int(fd))
	if !right() {
		return nil
	}
	_, _, errno = syscall.Syscall6(sysPidfdSendSignal, fd, uintptr(syscall.SIGKILL), 0, 0, 0, 0)
	if errno != 0 && errno != syscall.ESRCH {
		return fmt.Errorf("process %d cannot be ended: %w", pid, errno)
	}
	return nil
}

// KillRecorded ends the process in a pid file, if it is still that one, and
// waits until it is gone.
func KillRecorded(pidFile string) error {
	pid, running := Running(pidFile)
	if !running {
		return nil
	}
	right := func() bool { now, running := Running(pidFile); return running && now == pid }
	if err := killIf(pid, right); err != nil {
		return err
	}
	for range 6000 {
		if !right() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("process %d still runs a minute after it was killed", pid)
}

// KillAll ends all processes of the owner and those list names (the pods',
// which carry no marker), until none is left.
func KillAll(owner Owner, list func() []int) error { return KillAllBut(0, owner, list) }

// KillAllBut is KillAll that spares one process.
func KillAllBut(spared int, owner Owner, list func() []int) error {
	isSpared := func(pid int) bool { return pid == spared }
	deadline := time.Now().Add(time.Minute)
	for {
		marked, others := slices.DeleteFunc(Find(owner), isSpared), list()
		if len(marked)+len(others) == 0 {
			return nil
		}
		for _, pid := range marked {
			if err := killIf(pid, func() bool { return belongs(pid, owner) }); err != nil {
				return err
			}
		}
		for _, pid := range others {
			if err := killIf(pid, func() bool { return slices.Contains(list(), pid) }); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v %v still run a minute after they were killed", marked, others)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
