package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/controlplane"
	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/node"
	"modelcache.test/cluster/internal/state"
)

// change runs a change to one cluster, alone.
func change(name string, apply func(*state.Record, layout.Cluster) error) error {
	unlock, err := state.LockCluster(name)
	if err != nil {
		return err
	}
	defer unlock()
	record, dir, err := state.Load(name)
	if err != nil {
		return err
	}
	if record.ControlPlaneOnly {
		return fmt.Errorf("cluster %q has no nodes: it was started with --control-plane-only", name)
	}
	if !record.Complete {
		return fmt.Errorf("cluster %q is half made: take it down", name)
	}
	return apply(record, dir)
}

// AddNode lets a new node join and returns its name. It has the lowest free
// number.
func AddNode(cluster string, diskBytes int64) (string, error) {
	var added state.Node
	err := change(cluster, func(record *state.Record, dir layout.Cluster) error {
		number := freeNumber(record)
		if number > addr.MaxNodes {
			return fmt.Errorf("cluster %q has %d nodes, which is the most it may have", cluster, addr.MaxNodes)
		}
		added = newNode(number, diskBytes, nil)
		record.Nodes = append(record.Nodes, added)
		if err := record.Save(dir); err != nil { // first on record, then made
			return err
		}
		control := controlplane.New(record, dir, true)
		if err := control.Connect(); err != nil {
			return err
		}
		joining := node.Of(record, dir, added)
		err := openNode(joining, control, record.Images)
		if err == nil {
			err = join(joining, control)
		}
		if err != nil {
			return errors.Join(err, drop(record, dir, added))
		}
		return host.RouteServices(record.Plan(), record.Nodes[0].Number)
	})
	return added.Name, err
}

func freeNumber(record *state.Record) int {
	for number := 1; ; number++ {
		if !slices.ContainsFunc(record.Nodes, func(n state.Node) bool { return n.Number == number }) {
			return number
		}
	}
}

// drop removes a node from the machine and from the record.
func drop(record *state.Record, dir layout.Cluster, gone state.Node) error {
	if err := node.Of(record, dir, gone).Close(); err != nil {
		return err
	}
	record.Nodes = slices.DeleteFunc(record.Nodes, func(n state.Node) bool { return n.Name == gone.Name })
	return record.Save(dir)
}

// RemoveNode ends a node, with its pods and its disk, and deletes its object.
func RemoveNode(cluster, name string) error {
	return change(cluster, func(record *state.Record, dir layout.Cluster) error {
		gone, err := record.Node(name)
		if err != nil {
			return err
		}
		control := controlplane.New(record, dir, true)
		if err := control.Connect(); err != nil {
			return err
		}
		// The kubelet goes first: it would make the object again.
		if err := node.Of(record, dir, gone).StopKubelet(); err != nil {
			return err
		}
		if err := control.API.Delete("/api/v1/nodes/" + name); err != nil {
			return err
		}
		if err := drop(record, dir, gone); err != nil {
			return err
		}
		if len(record.Nodes) == 0 {
			return nil
		}
		return host.RouteServices(record.Plan(), record.Nodes[0].Number)
	})
}

// StopNode ends a node's kubelet and waits until the cluster sees the node as
// not ready. With powerOff its pods end too.
func StopNode(cluster, name string, powerOff bool) error {
	return change(cluster, func(record *state.Record, dir layout.Cluster) error {
		recorded, err := record.Node(name)
		if err != nil {
			return err
		}
		stopping := node.Of(record, dir, recorded)
		control := controlplane.New(record, dir, true)
		if err := control.Connect(); err != nil {
			return err
		}
		if powerOff {
			err = stopping.PowerOff()
		} else {
			err = stopping.StopKubelet()
		}
		if err != nil {
			return err
		}
		for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			// An empty answer is none: the API server may be busy.
			if state := control.API.NodeReady(name); state != "" && state != "True" {
				return nil
			}
		}
		return fmt.Errorf("node %s is stopped, but still Ready after four minutes", name)
	})
}

// StartNode starts what is stopped on a node and waits until it is Ready.
func StartNode(cluster, name string) error {
	return change(cluster, func(record *state.Record, dir layout.Cluster) error {
		recorded, err := record.Node(name)
		if err != nil {
			return err
		}
		starting := node.Of(record, dir, recorded)
		control := controlplane.New(record, dir, true)
		if err := control.Connect(); err != nil {
			return err
		}
		if err := starting.StartRuntime(nil); err != nil { // it has its images
			return err
		}
		return join(starting, control)
	})
}

// FindNode finds a node to run a command in.
func FindNode(cluster, name string) (*node.Node, error) {
	record, dir, err := state.Load(cluster)
	if err != nil {
		return nil, err
	}
	recorded, err := record.Node(name)
	if err != nil {
		return nil, err
	}
	return node.Of(record, dir, recorded), nil
}

// LoadImages imports archives into every node, those that join later included.
func LoadImages(cluster string, archives []string) error {
	for index, archive := range archives {
		absolute, err := filepath.Abs(archive)
		if err != nil {
			return err
		}
		if _, err := os.Stat(absolute); err != nil {
			return fmt.Errorf("the image archive must exist: %w", err)
		}
		archives[index] = absolute
	}
	return change(cluster, func(record *state.Record, dir layout.Cluster) error {
		errs := make([]error, len(record.Nodes))
		var work sync.WaitGroup
		for index, recorded := range record.Nodes {
			work.Go(func() {
				for _, archive := range archives {
					if err := node.Of(record, dir, recorded).Load(archive); err != nil {
						errs[index] = err
						return
					}
				}
			})
		}
		work.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		for _, archive := range archives {
			if !slices.Contains(record.Images, archive) {
				record.Images = append(record.Images, archive)
			}
		}
		return record.Save(dir)
	})
}
