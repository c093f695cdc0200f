package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/node"
	"modelcache.test/cluster/internal/proc"
	"modelcache.test/cluster/internal/state"
)

// Down removes a cluster, whatever there is of it. A cluster that is not there
// is fine.
func Down(name string) error {
	if err := layout.CheckName(name); err != nil {
		return err
	}
	unlock, err := state.LockCluster(name)
	if err != nil {
		return err
	}
	defer unlock()
	record, dir, err := state.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !record.ControlPlaneOnly && os.Geteuid() != 0 {
		return fmt.Errorf("cluster %q has nodes: it must be taken down as root", name)
	}
	return takeDown(record, dir)
}

// DownAll removes every cluster of this user.
func DownAll() error {
	names, err := state.List()
	if err != nil {
		return err
	}
	var failed error
	for _, name := range names {
		if err := Down(name); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cluster %s: %w", name, err))
		}
	}
	return failed
}

// takeDown undoes everything in the reverse order of its making. Each step
// copes with what was never made, so it may be repeated after a failure. The
// record goes last.
func takeDown(record *state.Record, dir layout.Cluster) error {
	everything := proc.Owner{StateDir: string(dir)}
	plan := record.Plan()
	pods := func() []int {
		var pids []int
		for _, recorded := range record.Nodes {
			pids = append(pids, host.CgroupProcesses(plan.CgroupName(recorded.Number))...)
		}
		return pids
	}
	if err := proc.KillAll(everything, pods); err != nil {
		return err
	}
	for _, recorded := range record.Nodes {
		if err := node.Of(record, dir, recorded).Close(); err != nil {
			return err
		}
	}
	if !record.ControlPlaneOnly {
		if err := host.RemoveBridge(plan); err != nil {
			return err
		}
	}
	return release(record, dir)
}

// release gives up the slot, and the machine's settings with the last cluster
// that has nodes.
func release(record *state.Record, dir layout.Cluster) error {
	unlock, err := state.LockMachine()
	if err != nil {
		return err
	}
	defer unlock()
	if !record.ControlPlaneOnly {
		last, err := isLastWithNodes(record.Name)
		if err != nil {
			return err
		}
		if last {
			if err := restoreMachine(); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir.Record()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(string(dir))
}

func isLastWithNodes(name string) (bool, error) {
	names, err := state.List()
	if err != nil {
		return false, err
	}
	for _, other := range names {
		if other == name {
			continue
		}
		record, _, err := state.Load(other)
		if err != nil {
			return false, err
		}
		if !record.ControlPlaneOnly {
			return false, nil
		}
	}
	return true, nil
}

func restoreMachine() error {
	machine, err := state.LoadMachine()
	if err != nil || machine == nil {
		return err
	}
	if err := host.RestoreSysctls(machine.Sysctls); err != nil {
		return err
	}
	machine.RemoveDirectories()
	return machine.Forget()
}
