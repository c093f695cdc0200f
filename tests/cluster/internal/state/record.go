// Package state keeps on disk what each cluster consists of. It is written
// before anything is made, so that "down" can remove what a launcher made that
// was killed in the middle.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/layout"
)

// Node is one node of a cluster.
type Node struct {
	Name   string `json:"name"`
	Number int    `json:"number"` // decides its addresses
	// DiskBytes is the size of the file system behind the pool path.
	DiskBytes int64 `json:"diskBytes"`
}

// Record is everything "down" and the other commands must know.
type Record struct {
	Name             string   `json:"name"`
	Slot             int      `json:"slot"`
	AddressRange     string   `json:"addressRange"`
	ControlPlaneOnly bool     `json:"controlPlaneOnly"`
	PoolPath         string   `json:"poolPath"`
	Binaries         string   `json:"binaries"` // directory of the Kubernetes programs
	Images           []string `json:"images"`   // archives every node gets
	Nodes            []Node   `json:"nodes"`
	Complete         bool     `json:"complete"` // "up" came to its end
}

// Plan is the cluster's address plan.
func (r *Record) Plan() addr.Plan {
	plan, err := addr.ForSlot(r.Slot).WithRange(r.AddressRange)
	if err != nil {
		return addr.ForSlot(r.Slot)
	}
	return plan
}

// Node finds a node by name.
func (r *Record) Node(name string) (Node, error) {
	for _, node := range r.Nodes {
		if node.Name == name {
			return node, nil
		}
	}
	return Node{}, fmt.Errorf("cluster %q has no node %q", r.Name, name)
}

// Load reads the record of a cluster.
func Load(name string) (*Record, layout.Cluster, error) {
	if err := layout.CheckName(name); err != nil {
		return nil, "", err
	}
	root, err := layout.ClustersRoot()
	if err != nil {
		return nil, "", err
	}
	dir := layout.Cluster(filepath.Join(root, name))
	content, err := os.ReadFile(dir.Record())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dir, fmt.Errorf("there is no cluster %q: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, dir, err
	}
	var record Record
	if err := json.Unmarshal(content, &record); err != nil {
		return nil, dir, fmt.Errorf("%s cannot be read: %w", dir.Record(), err)
	}
	return &record, dir, nil
}

// Save writes the record so that a reader sees the old or the new one whole.
func (r *Record) Save(dir layout.Cluster) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(dir), 0o755); err != nil {
		return err
	}
	temporary := dir.Record() + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, dir.Record())
}

// List names all clusters that have a record.
func List() ([]string, error) {
	root, err := layout.ClustersRoot()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(root, "*", "cluster.json"))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, filepath.Base(filepath.Dir(file)))
	}
	return names, nil
}
