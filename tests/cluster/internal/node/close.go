package node

import (
	"fmt"
	"os"
	"strings"
	"time"

	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/proc"
)

// StopKubelet ends the kubelet; the node turns NotReady, its pods run on.
func (n *Node) StopKubelet() error { return proc.KillRecorded(n.PidFile("kubelet")) }

// PowerOff ends everything that runs on the node, pods included. Its disk and
// its namespaces stay.
func (n *Node) PowerOff() error {
	holder, err := n.Holder()
	if err != nil {
		return err
	}
	for _, program := range []string{"kubelet", "kube-proxy", "containerd"} {
		if err := proc.KillRecorded(n.PidFile(program)); err != nil {
			return err
		}
	}
	return proc.KillAllBut(holder, n.owner(), n.podProcesses)
}

func (n *Node) podProcesses() []int { return host.CgroupProcesses(n.plan.CgroupName(n.Number)) }

// Close removes the node from the machine, whatever there is of it.
func (n *Node) Close() error {
	if err := proc.KillAll(n.owner(), n.podProcesses); err != nil {
		return err
	}
	if err := host.Unplug(n.plan, n.Number); err != nil {
		return err
	}
	if err := host.RemoveCgroup(n.plan.CgroupName(n.Number)); err != nil {
		return err
	}
	if err := n.releaseDisk(); err != nil {
		return err
	}
	for _, program := range []string{"holder", "containerd", "kube-proxy", "kubelet"} {
		if err := os.Remove(n.PidFile(program)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return os.RemoveAll(n.file())
}

// releaseDisk waits until the kernel has let go of the disk: the loop device
// goes with the last mount namespace that has it mounted.
func (n *Node) releaseDisk() error {
	image := n.file("disk.img")
	if _, err := os.Stat(image); err != nil {
		return nil
	}
	for attempt := range 1500 {
		device, err := host.Output("losetup", "--noheadings", "--output", "NAME", "--associated", image)
		if err != nil {
			return err
		}
		device = strings.TrimSpace(device)
		if device == "" {
			return nil
		}
		if attempt > 10 { // not mounted by anybody: left by a launcher killed in between
			_ = host.Run("losetup", "--detach", strings.Fields(device)[0])
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the disk %s of node %s is still in use: some process has it mounted", image, n.Name)
}
