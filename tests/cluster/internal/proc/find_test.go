package proc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStatWithAnOddCommandName(t *testing.T) {
	fields, err := parseStat("7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20")
	if err != nil || fields[0] != "S" || fields[19] != "4711" {
		t.Errorf("got %v, %v", fields, err)
	}
}

func TestOwnership(t *testing.T) {
	environment := []byte("HOME=/root\x00" + Marker + "=/state/a#node-1\x00X=y\x00")
	for owner, want := range map[Owner]bool{
		{StateDir: "/state/a"}:                 true,
		{StateDir: "/state/a", Part: "node-1"}: true,
		{StateDir: "/state/a", Part: "node-2"}: false,
		{StateDir: "/state/aa"}:                false,
		{StateDir: "/state"}:                   false,
	} {
		if got := owner.owns(environment); got != want {
			t.Errorf("%v owns it: got %v, want %v", owner, got, want)
		}
	}
}

func TestOnlyTheRecordedProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	owner := Owner{StateDir: dir}
	pidFile := filepath.Join(dir, "sleep.pid")
	process, err := Start(owner, "sleep", []string{"/bin/sleep", "60"}, filepath.Join(dir, "log"), pidFile, Options{})
	if err != nil {
		t.Fatal(err)
	}
	record, _ := os.ReadFile(pidFile)
	if err := os.WriteFile(pidFile, append([]byte("1"), record...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, running := Running(pidFile); running {
		t.Error("a record with another pid must not count as running")
	}
	if err := KillAll(owner, func() []int { return nil }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-process.exited:
	case <-time.After(5 * time.Second):
		t.Error("the process still runs")
	}
}

func TestAnEarlyEndShowsTheLog(t *testing.T) {
	dir := t.TempDir()
	process, err := Start(Owner{StateDir: dir}, "sh", []string{"/bin/sh", "-c", "sleep 0.1; echo no luck; exit 1"},
		filepath.Join(dir, "log"), filepath.Join(dir, "sh.pid"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = process.WaitFor("it was ready", 5*time.Second, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("the error must hold the log, got %v", err)
	}
}
