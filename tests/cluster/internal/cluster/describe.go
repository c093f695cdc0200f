package cluster

import (
	"path/filepath"

	"modelcache.test/cluster/internal/controlplane"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/node"
	"modelcache.test/cluster/internal/proc"
	"modelcache.test/cluster/internal/state"
)

// Description is what callers learn about a cluster ("-o json").
type Description struct {
	Name             string            `json:"name"`
	Running          bool              `json:"running"` // "up" came to its end and every part of the control plane runs
	ControlPlaneOnly bool              `json:"controlPlaneOnly"`
	Kubeconfig       string            `json:"kubeconfig"`
	Kubectl          string            `json:"kubectl"`
	Server           string            `json:"server"`
	BridgeAddress    string            `json:"bridgeAddress,omitempty"` // pods reach servers on the machine here
	AddressRange     string            `json:"addressRange"`
	ServiceRange     string            `json:"serviceRange"`
	StateDir         string            `json:"stateDir"`
	AuditLog         string            `json:"auditLog"`
	PoolPath         string            `json:"poolPath,omitempty"`
	Nodes            []NodeDescription `json:"nodes"`
	Stopped          []string          `json:"stopped"`              // recorded processes that do not run
	Seconds          float64           `json:"seconds,omitempty"`    // what "up" took, without building
	APISeconds       float64           `json:"apiSeconds,omitempty"` // … until /readyz said yes
}

// NodeDescription is one node.
type NodeDescription struct {
	Name    string `json:"name"`
	IP      string `json:"ip"`
	PodCIDR string `json:"podCIDR"`
	// PoolDir is the node's pool path as the machine sees it. It is good as
	// long as the node is there, also while its kubelet is stopped.
	PoolDir        string `json:"poolDir"`
	DiskBytes      int64  `json:"diskBytes"`
	KubeletRunning bool   `json:"kubeletRunning"`
}

// Describe looks at a recorded cluster.
func Describe(record *state.Record, dir layout.Cluster) *Description {
	plan := record.Plan()
	description := &Description{
		Name: record.Name, ControlPlaneOnly: record.ControlPlaneOnly,
		Kubeconfig: dir.Kubeconfig(), Kubectl: filepath.Join(record.Binaries, "kubectl"),
		Server:       controlplane.Server(plan, record.ControlPlaneOnly),
		AddressRange: plan.Range.String(), ServiceRange: plan.Services().String(),
		StateDir: string(dir), AuditLog: dir.AuditLog(),
		Nodes: []NodeDescription{}, Stopped: []string{},
	}
	if !record.ControlPlaneOnly {
		description.BridgeAddress, description.PoolPath = plan.Bridge().String(), record.PoolPath
	}
	description.Running = record.Complete
	for _, name := range proc.Names(dir.PidDir()) {
		if _, running := proc.Running(dir.PidFile(name)); !running {
			description.Stopped = append(description.Stopped, name)
		}
	}
	for _, part := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if _, running := proc.Running(dir.PidFile(part)); !running {
			description.Running = false
		}
	}
	for _, recorded := range record.Nodes {
		description.Nodes = append(description.Nodes, describeNode(node.Of(record, dir, recorded), record.PoolPath))
	}
	return description
}

func describeNode(n *node.Node, poolPath string) NodeDescription {
	description := NodeDescription{
		Name: n.Name, IP: n.IP(), PodCIDR: n.PodSubnet(), DiskBytes: n.DiskBytes, KubeletRunning: n.KubeletRuns(),
	}
	if directory, err := n.FromHost(poolPath); err == nil {
		description.PoolDir = directory
	}
	return description
}

// Status describes one cluster.
func Status(name string) (*Description, error) {
	record, dir, err := state.Load(name)
	if err != nil {
		return nil, err
	}
	return Describe(record, dir), nil
}

// StatusAll describes all clusters.
func StatusAll() ([]*Description, error) {
	names, err := state.List()
	if err != nil {
		return nil, err
	}
	descriptions := []*Description{}
	for _, name := range names {
		description, err := Status(name)
		if err != nil {
			return nil, err
		}
		descriptions = append(descriptions, description)
	}
	return descriptions, nil
}
