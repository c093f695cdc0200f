package node

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/images"
	"modelcache.test/cluster/internal/proc"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"

	// containerdConfig is for containerd 1.6 of Debian 12 and anything newer.
	containerdConfig = `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
# aufs … zfs need kernels this one may not be; opt makes /opt/containerd on the machine.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "` + containerdSocket + `"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + images.PauseRef + `"
  restrict_oom_score_adj = true # a container as the machine may lack CAP_SYS_RESOURCE
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`

	cniConfig = `{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni-ipam",
        "ranges": [[{"subnet": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`
)

// StartRuntime starts containerd and gives it the images.
func (n *Node) StartRuntime(archives []string) error {
	if _, running := proc.Running(n.PidFile("containerd")); running {
		return nil
	}
	plugins, err := host.CNIPlugins()
	if err != nil {
		return err
	}
	for file, content := range map[string]string{
		"etc/cni/10-pods.conflist": fmt.Sprintf(cniConfig, n.PodSubnet()),
		"etc/containerd.toml":      fmt.Sprintf(containerdConfig, plugins, n.file("etc/cni")),
	} {
		if err := os.WriteFile(n.file(file), []byte(content), 0o644); err != nil {
			return err
		}
	}
	containerd, err := n.startInside("containerd", "containerd", "--config", n.file("etc/containerd.toml"))
	if err != nil {
		return err
	}
	socket, err := n.FromHost(containerdSocket)
	if err != nil {
		return err
	}
	err = containerd.WaitFor("its socket answers", startLimit, func() bool {
		connection, err := net.DialTimeout("unix", socket, time.Second)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	for _, archive := range archives {
		if err := n.Load(archive); err != nil {
			return err
		}
	}
	return nil
}

// Load imports an image archive into the node.
func (n *Node) Load(archive string) error {
	// The archive comes through standard input: its path may be one the node has its own of.
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	argv, environment, err := n.Command("ctr", "--namespace", "k8s.io", "images", "import", "-")
	if err != nil {
		return err
	}
	program, err := host.Find(argv[0])
	if err != nil {
		return err
	}
	command := exec.Command(program, argv[1:]...)
	command.Env = environment
	command.Stdin = file
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("the image archive %s cannot be imported into %s: %w: %s", archive, n.Name, err, output)
	}
	return nil
}
