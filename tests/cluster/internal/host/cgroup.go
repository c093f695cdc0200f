package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// CgroupV2 says whether the machine has the unified hierarchy.
func CgroupV2() bool {
	_, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers"))
	return err == nil
}

// hierarchies are the directories a cgroup has to exist in.
func hierarchies() []string {
	if CgroupV2() {
		return []string{cgroupRoot}
	}
	var found []string
	seen := map[string]bool{}
	entries, _ := os.ReadDir(cgroupRoot)
	for _, entry := range entries {
		// cpu is often a link to cpu,cpuacct
		directory, err := filepath.EvalSymlinks(filepath.Join(cgroupRoot, entry.Name()))
		if err != nil || seen[directory] {
			continue
		}
		seen[directory] = true
		if _, err := os.Stat(filepath.Join(directory, "cgroup.procs")); err == nil {
			found = append(found, directory)
		}
	}
	return found
}

// MakeCgroup makes a cgroup below the root in every hierarchy, ready to have
// children with limits.
func MakeCgroup(name string) error {
	for _, hierarchy := range hierarchies() {
		directory := filepath.Join(hierarchy, name)
		if err := os.Mkdir(directory, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if CgroupV2() {
			for _, parent := range []string{hierarchy, directory} {
				if err := delegate(parent); err != nil {
					return err
				}
			}
			continue
		}
		// A cpuset without processors and memory takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(hierarchy, file))
			if err != nil {
				continue // another controller's hierarchy
			}
			if err := os.WriteFile(filepath.Join(directory, file), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the children of a version 2 cgroup use its controllers.
func delegate(directory string) error {
	available, err := os.ReadFile(filepath.Join(directory, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		// Some cannot be delegated (a controller busy elsewhere); the kubelet says so if it matters.
		_ = os.WriteFile(filepath.Join(directory, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
	return nil
}

// CgroupProcesses lists the processes in the cgroup and below it.
func CgroupProcesses(name string) []int {
	seen := map[int]bool{}
	var pids []int
	for _, hierarchy := range hierarchies() {
		_ = filepath.WalkDir(filepath.Join(hierarchy, name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil // a cgroup that goes away while we look has no processes
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			for _, field := range strings.Fields(string(content)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// RemoveCgroup removes the cgroup and all below it; no process may be in them.
func RemoveCgroup(name string) error {
	var err error
	for range 1500 { // the kernel lets go of ended processes a little later
		if err = removeOnce(name); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func removeOnce(name string) error {
	for _, hierarchy := range hierarchies() {
		var directories []string
		_ = filepath.WalkDir(filepath.Join(hierarchy, name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				directories = append(directories, path)
			}
			return nil
		})
		for i := len(directories) - 1; i >= 0; i-- { // children come after their parents
			if err := os.Remove(directories[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
