package cluster

import (
	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/layout"
	"modelcache.test/cluster/internal/node"
	"modelcache.test/cluster/internal/state"
)

// SetEgress allows or drops all traffic that pods of a node send off the node.
// The kubelet still reaches them, so probes, logs and exec go on.
func SetEgress(cluster, name string, allowed bool) error {
	return change(cluster, func(record *state.Record, dir layout.Cluster) error {
		recorded, err := record.Node(name)
		if err != nil {
			return err
		}
		n := node.Of(record, dir, recorded)
		iptables := func(action ...string) error {
			rule := []string{"-s", n.PodSubnet(), "-o", "eth0", "-j", "DROP"}
			argv, err := n.Inside(append(append([]string{"iptables", "-w", "10"}, action...), rule...)...)
			if err != nil {
				return err
			}
			return host.Run(argv...)
		}
		dropped := iptables("-C", "FORWARD") == nil
		switch {
		case allowed && dropped:
			return iptables("-D", "FORWARD")
		case !allowed && !dropped:
			return iptables("-I", "FORWARD")
		}
		return nil
	})
}
