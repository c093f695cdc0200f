// Package node runs one Kubernetes node: a network namespace and a mount
// namespace of its own, a disk of its own behind the pool path, and in them
// containerd, kube-proxy and the kubelet at their usual paths.
package node

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/proc"
	"modelcache.test/cluster/internal/state"
)

const startLimit = 4 * time.Minute

// Node is one node of a cluster.
type Node struct {
	state.Node
	cluster string
	dir     layout.Cluster
	plan    addr.Plan
	record  *state.Record
}

// Of is a node of a recorded cluster.
func Of(record *state.Record, dir layout.Cluster, node state.Node) *Node {
	return &Node{Node: node, cluster: record.Name, dir: dir, plan: record.Plan(), record: record}
}

// IP is the node's address.
func (n *Node) IP() string { return n.plan.Node(n.Number).String() }

// PodSubnet is where its pods' addresses come from.
func (n *Node) PodSubnet() string { return n.plan.PodSubnet(n.Number).String() }

func (n *Node) owner() proc.Owner {
	return proc.Owner{StateDir: string(n.dir), Part: n.Name}
}

func (n *Node) file(parts ...string) string { return n.dir.Node(n.Name, parts...) }

func (n *Node) process(program string) string { return n.Name + "." + program }

// PidFile records one of the node's processes.
func (n *Node) PidFile(program string) string { return n.dir.PidFile(n.process(program)) }

// Holder is the process that keeps the node's namespaces open.
func (n *Node) Holder() (int, error) {
	pid, running := proc.Running(n.PidFile("holder"))
	if !running {
		return 0, fmt.Errorf("node %s of cluster %s is gone: its namespaces ended", n.Name, n.cluster)
	}
	return pid, nil
}

// KubeletRuns says whether the node's kubelet runs.
func (n *Node) KubeletRuns() bool {
	_, running := proc.Running(n.PidFile("kubelet"))
	return running
}

// FromHost is a path of the node as the machine sees it.
func (n *Node) FromHost(path string) (string, error) {
	pid, err := n.Holder()
	if err != nil {
		return "", err
	}
	return filepath.Join(fmt.Sprintf("/proc/%d/root", pid), path), nil
}

// Inside is the command line that runs argv in the node's namespaces.
func (n *Node) Inside(argv ...string) ([]string, error) {
	pid, err := n.Holder()
	if err != nil {
		return nil, err
	}
	return append([]string{"nsenter", "-t", fmt.Sprint(pid), "-m", "-n", "--"}, argv...), nil
}

// Command is Inside with the environment the node's processes have.
func (n *Node) Command(argv ...string) ([]string, []string, error) {
	inside, err := n.Inside(argv...)
	return inside, n.owner().Environment(), err
}

// namespaceScript turns a copy of the machine's mounts into the node's.
//
// The node has its own /run, /var/lib and /var/log, so that every program finds
// its usual paths and nothing of it is left on the machine: the mounts end with
// the last process. "ip netns exec" is no help here, as it mounts a new /sys in
// which the cgroups are missing.
const namespaceScript = `set -e
node=$1 volumes=$2 pool=$3 ready=$4
mount --make-rslave /
mount --make-rshared /
mount --bind "$node/var-lib" /var/lib
mount --bind "$node/var-log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$volumes" /tmp/hostpath_pv
mkdir -p "$pool"
mount -o loop,noatime "$node/disk.img" "$pool"
echo 1 > /proc/sys/net/ipv4/ip_forward
: > "$ready"
exec sleep infinity
`

// Open makes the node's disk, namespaces and network.
func (n *Node) Open() error {
	for _, directory := range []string{"var-lib", "var-log", "etc/cni"} {
		if err := os.MkdirAll(n.file(directory), 0o755); err != nil {
			return err
		}
	}
	if err := n.makeDisk(); err != nil {
		return err
	}
	if err := host.MakeCgroup(n.plan.CgroupName(n.Number)); err != nil {
		return fmt.Errorf("node %s needs a cgroup: %w", n.Name, err)
	}
	ready := n.file("ready")
	if err := os.RemoveAll(ready); err != nil {
		return err
	}
	holder, err := n.startWith("holder", proc.Options{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET},
		"/bin/sh", "-c", namespaceScript, "sh", n.file(), n.dir.HostPathVolumes(), n.record.PoolPath, ready)
	if err != nil {
		return err
	}
	err = holder.WaitFor("its mounts are made", startLimit, func() bool {
		_, err := os.Stat(ready)
		return err == nil
	})
	if err != nil {
		return err
	}
	return host.PlugIn(n.plan, n.Number, holder.Pid)
}

// makeDisk makes the sparse image of the file system behind the pool path.
func (n *Node) makeDisk() error {
	image := n.file("disk.img")
	file, err := os.Create(image)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Truncate(n.DiskBytes); err != nil {
		return fmt.Errorf("node %s needs a disk of %d bytes: %w", n.Name, n.DiskBytes, err)
	}
	// No journal: nothing here outlives a crash of the machine.
	return host.Run("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-L", n.Name, image)
}

func (n *Node) startWith(program string, options proc.Options, argv ...string) (*proc.Process, error) {
	name := n.process(program)
	return proc.Start(n.owner(), name, argv, n.dir.Log(name), n.dir.PidFile(name), options)
}

// startInside runs one of the node's programs, unless it runs already.
func (n *Node) startInside(program string, argv ...string) (*proc.Process, error) {
	inside, err := n.Inside(argv...)
	if err != nil {
		return nil, err
	}
	nsenter, err := host.Find(inside[0])
	if err != nil {
		return nil, err
	}
	inside[0] = nsenter
	return n.startWith(program, proc.Options{}, inside...)
}
