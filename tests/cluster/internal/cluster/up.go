// Package cluster brings whole clusters up and down.
package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"modelcache.test/cluster/internal/controlplane"
	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/images"
	"modelcache.test/cluster/internal/kubebin"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/node"
	"modelcache.test/cluster/internal/proc"
	"modelcache.test/cluster/internal/state"
)

// Up starts a cluster. If it fails or is interrupted, nothing stays behind.
func Up(options Options) (*Description, error) {
	if err := options.Check(); err != nil {
		return nil, err
	}
	unlock, err := state.LockCluster(options.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, _, err := state.Load(options.Name); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, fmt.Errorf("cluster %q must be taken down first (down --name %s), or choose another --name", options.Name, options.Name))
	}
	binaries, err := kubebin.Ensure(options.Progress)
	if err != nil {
		return nil, err
	}
	if !options.ControlPlaneOnly {
		if err := prepareForNodes(&options); err != nil {
			return nil, err
		}
	}
	begin := time.Now()
	interrupted := make(chan os.Signal, 1) // from here on there is something to clean up
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	record, dir, err := claim(options, binaries)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	control := controlplane.New(record, dir, options.Audit)
	go func() { done <- start(record, dir, control) }()
	select {
	case err = <-done:
	case received := <-interrupted:
		err = fmt.Errorf("interrupted by signal %q", received)
		proc.Refuse()
		// Whoever waits for a process gives up when it ends.
		err = errors.Join(err, proc.KillAll(proc.Owner{StateDir: string(dir)}, func() []int { return nil }))
		<-done
	}
	if err != nil {
		if cleanupError := takeDown(record, dir); cleanupError != nil {
			return nil, errors.Join(err, fmt.Errorf("and the clean-up failed, run down --name %s: %w", record.Name, cleanupError))
		}
		return nil, err
	}
	description := Describe(record, dir)
	description.Seconds = time.Since(begin).Round(time.Millisecond).Seconds()
	description.APISeconds = control.ReadyAt.Sub(begin).Round(time.Millisecond).Seconds()
	return description, nil
}

// prepareForNodes makes what only nodes need and later runs find ready.
func prepareForNodes(options *Options) error {
	if err := host.EnsurePackages(options.Progress); err != nil {
		return err
	}
	pause, err := pauseArchive()
	if err != nil {
		return err
	}
	options.Images = append([]string{pause}, options.Images...)
	return nil
}

func pauseArchive() (string, error) {
	binary, err := kubebin.GoBuild("pause")
	if err != nil {
		return "", err
	}
	archive := binary + ".tar"
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	return archive, images.Pause(binary, archive)
}

// claim takes a slot and writes the record, before anything is made.
func claim(options Options, binaries string) (*state.Record, layout.Cluster, error) {
	unlock, err := state.LockMachine()
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	plan, err := state.FreeSlot(options.AddressRange)
	if err != nil {
		return nil, "", err
	}
	root, err := layout.ClustersRoot()
	if err != nil {
		return nil, "", err
	}
	dir := layout.Cluster(filepath.Join(root, options.Name))
	// What a state directory without a record holds is nobody's.
	if err := os.RemoveAll(string(dir)); err != nil {
		return nil, "", err
	}
	record := &state.Record{
		Name: options.Name, Slot: plan.Slot, AddressRange: plan.Range.String(),
		ControlPlaneOnly: options.ControlPlaneOnly, PoolPath: options.PoolPath,
		Binaries: binaries, Images: options.Images,
	}
	if !options.ControlPlaneOnly {
		for number := 1; number <= options.Nodes; number++ {
			record.Nodes = append(record.Nodes, newNode(number, options.DiskBytes, options.NodeDiskBytes))
		}
		if err := prepareMachine(record); err != nil {
			return nil, "", err
		}
	}
	return record, dir, record.Save(dir)
}

// prepareMachine makes what all clusters share. The caller holds the machine's lock.
func prepareMachine(record *state.Record) error {
	machine, err := state.LoadMachine()
	if err != nil {
		return err
	}
	if machine == nil {
		machine = &state.Machine{Sysctls: host.SaveSysctls()}
	}
	// Mount points that the nodes cannot make for themselves.
	for _, directory := range []string{"/tmp/hostpath_pv", record.PoolPath} {
		if layout.OwnOfNode(directory) {
			continue
		}
		if err := machine.MakeDirectory(directory); err != nil {
			return err
		}
	}
	if err := machine.Save(); err != nil {
		return err
	}
	return host.PrepareKernel()
}

// start runs the control plane and the nodes' runtimes side by side, then the
// kubelets.
func start(record *state.Record, dir layout.Cluster, control *controlplane.ControlPlane) error {
	if err := control.Prepare(); err != nil {
		return err
	}
	if !record.ControlPlaneOnly {
		if err := host.MakeBridge(record.Plan()); err != nil {
			return err
		}
	}
	var work sync.WaitGroup
	errs := make([]error, len(record.Nodes)+1)
	work.Go(func() { errs[0] = control.Start() })
	for index, recorded := range record.Nodes {
		work.Go(func() {
			errs[index+1] = openNode(node.Of(record, dir, recorded), control, record.Images)
		})
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(record.Nodes) > 0 {
		if err := host.RouteServices(record.Plan(), record.Nodes[0].Number); err != nil {
			return err
		}
	}
	for index, recorded := range record.Nodes {
		work.Go(func() { errs[index] = join(node.Of(record, dir, recorded), control) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	record.Complete = true
	return record.Save(dir)
}

func openNode(n *node.Node, control *controlplane.ControlPlane, archives []string) error {
	if err := n.Open(); err != nil {
		return err
	}
	if err := n.Enroll(control.Authority); err != nil {
		return err
	}
	return n.StartRuntime(archives)
}

// join starts the kubelet and waits for the node to be Ready.
func join(n *node.Node, control *controlplane.ControlPlane) error {
	kubelet, err := n.StartAgents()
	if err != nil {
		return err
	}
	return kubelet.WaitFor("the node is Ready", 4*time.Minute, func() bool {
		return control.API.NodeReady(n.Name) == "True"
	})
}
