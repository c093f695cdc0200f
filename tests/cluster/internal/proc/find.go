package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// startTime is the kernel's start time of a process. Together with the pid it
// names one process for ever, also after the pid is used again.
func startTime(pid int) (string, error) {
	fields, err := statFields(pid)
	if err != nil {
		return "", err
	}
	return fields[19], nil // field 22 of proc(5), counted from the state
}

// statFields are the fields of /proc/PID/stat from the state on. The command
// name before them may hold anything, so they are counted from its end.
func statFields(pid int) ([]string, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	return parseStat(string(content))
}

func parseStat(content string) ([]string, error) {
	fields := strings.Fields(content[strings.LastIndexByte(content, ')')+1:])
	if len(fields) < 20 {
		return nil, fmt.Errorf("%q is no process status", content)
	}
	return fields, nil
}

// Running is the pid in a pid file, if that very process still runs.
func Running(pidFile string) (int, bool) {
	content, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(content))
	if len(fields) != 2 {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0, false
	}
	stat, err := statFields(pid)
	if err != nil || stat[19] != fields[1] || stat[0] == "Z" {
		return 0, false
	}
	return pid, true
}

// Names are the names of the recorded processes in a directory of pid files.
func Names(pidDir string) []string {
	files, _ := filepath.Glob(filepath.Join(pidDir, "*.pid"))
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".pid"))
	}
	return names
}

// Find lists the live processes of an owner; of the whole cluster if the owner
// names no part.
func Find(owner Owner) []int {
	directories, _ := filepath.Glob("/proc/[0-9]*")
	var found []int
	for _, directory := range directories {
		pid, _ := strconv.Atoi(filepath.Base(directory))
		if belongs(pid, owner) {
			found = append(found, pid)
		}
	}
	return found
}

func belongs(pid int, owner Owner) bool {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	return owner.owns(environment)
}

func (o Owner) owns(environment []byte) bool {
	for _, entry := range bytes.Split(environment, []byte{0}) {
		value, marked := bytes.CutPrefix(entry, []byte(Marker+"="))
		if !marked {
			continue
		}
		if o.Part == "" {
			stateDir, _, _ := strings.Cut(string(value), "#")
			return stateDir == o.StateDir
		}
		return string(value) == o.value()
	}
	return false
}
