package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/state"
)

// DefaultDisk is the size of a node's disk; the image is sparse.
const DefaultDisk = 4 << 30

// Options are what "up" is asked for.
type Options struct {
	Name             string
	Nodes            int
	ControlPlaneOnly bool
	AddressRange     string
	PoolPath         string
	DiskBytes        int64
	NodeDiskBytes    map[string]int64
	Images           []string
	Audit            bool
	Progress         io.Writer
}

// Check refuses what cannot work, before anything is made.
func (o *Options) Check() error {
	if err := layout.CheckName(o.Name); err != nil {
		return err
	}
	for index, archive := range o.Images {
		absolute, err := filepath.Abs(archive)
		if err != nil {
			return err
		}
		if _, err := os.Stat(absolute); err != nil {
			return fmt.Errorf("the image archive must exist: %w", err)
		}
		o.Images[index] = absolute
	}
	if o.ControlPlaneOnly {
		return nil
	}
	if o.Nodes < 1 || o.Nodes > addr.MaxNodes {
		return fmt.Errorf("--nodes must be 1 to %d (or use --control-plane-only)", addr.MaxNodes)
	}
	for name := range o.NodeDiskBytes {
		if !isNodeOf(name, o.Nodes) {
			return fmt.Errorf("--disk-size names %q, but the nodes are node-1 to node-%d", name, o.Nodes)
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("a cluster with nodes must be started as root (it makes namespaces, bridges and mounts): use sudo, or --control-plane-only")
	}
	if !filepath.IsAbs(o.PoolPath) || filepath.Clean(o.PoolPath) != o.PoolPath || filepath.Dir(o.PoolPath) == "/" {
		return fmt.Errorf("--pool-path %q must be a clean absolute path at least two levels deep", o.PoolPath)
	}
	root, err := layout.ClustersRoot()
	if err != nil {
		return err
	}
	return layout.CheckStateRoot(root)
}

func isNodeOf(name string, nodes int) bool {
	for number := 1; number <= nodes; number++ {
		if name == nodeName(number) {
			return true
		}
	}
	return false
}

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }

func newNode(number int, diskBytes int64, perNode map[string]int64) state.Node {
	name := nodeName(number)
	if size, own := perNode[name]; own {
		diskBytes = size
	}
	return state.Node{Name: name, Number: number, DiskBytes: diskBytes}
}
