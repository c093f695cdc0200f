// Package addr plans the addresses of a cluster. Everything follows from the
// cluster's slot (a small number no other running cluster has), so clusters
// side by side never share an address, an interface name or a cgroup.
package addr

import (
	"fmt"
	"net/netip"
)

const (
	// Slots is how many clusters fit on one machine.
	Slots = 24
	// MaxNodes is how many nodes one cluster may have.
	MaxNodes = 4

	firstSecondOctet = 208 // slot 0 is 10.208.0.0/16, slot 23 is 10.231.0.0/16
)

// Plan is the address plan of one cluster.
//
//	X.Y.0.0/24      bridge (.1) and nodes (.11 for node number 1)
//	X.Y.(16+n).0/24 pods of node number n
//	X.Y.128.0/20    services
type Plan struct {
	Slot  int
	Range netip.Prefix // the /16 all of the above lies in
}

// ForSlot is the plan of a slot in the default range.
func ForSlot(slot int) Plan {
	base := netip.AddrFrom4([4]byte{10, byte(firstSecondOctet + slot), 0, 0})
	return Plan{Slot: slot, Range: netip.PrefixFrom(base, 16)}
}

// WithRange is the plan moved to another /16.
func (p Plan) WithRange(text string) (Plan, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() != 16 || prefix.Masked() != prefix {
		return p, fmt.Errorf("the address range %q must be an IPv4 /16 such as 10.99.0.0/16", text)
	}
	p.Range = prefix
	return p, nil
}

func (p Plan) at(third, fourth int) netip.Addr {
	octets := p.Range.Addr().As4()
	return netip.AddrFrom4([4]byte{octets[0], octets[1], byte(third), byte(fourth)})
}

// Bridge is the machine's address on the cluster's bridge. The API server
// listens there, and pods reach servers on the machine there.
func (p Plan) Bridge() netip.Addr { return p.at(0, 1) }

// NodeSubnet holds the bridge and the nodes.
func (p Plan) NodeSubnet() netip.Prefix { return netip.PrefixFrom(p.at(0, 0), 24) }

// Node is the address of node number n, from 1.
func (p Plan) Node(n int) netip.Addr { return p.at(0, 10+n) }

// PodSubnet holds the pods of node number n.
func (p Plan) PodSubnet(n int) netip.Prefix { return netip.PrefixFrom(p.at(16+n, 0), 24) }

// Pods holds the pods of all nodes.
func (p Plan) Pods() netip.Prefix { return netip.PrefixFrom(p.at(16, 0), 20) }

// Services holds the cluster addresses of services.
func (p Plan) Services() netip.Prefix { return netip.PrefixFrom(p.at(128, 0), 20) }

// APIService is the address of the service "kubernetes".
func (p Plan) APIService() netip.Addr { return p.at(128, 1) }

// Loopback is where the parts that only the control plane talks to listen.
// Pods cannot reach it.
func (p Plan) Loopback() netip.Addr {
	return netip.AddrFrom4([4]byte{127, 77, byte(p.Slot), 1})
}

// BridgeName is the bridge's interface name.
func (p Plan) BridgeName() string { return fmt.Sprintf("mcbr%d", p.Slot) }

// VethName is the machine's end of the cable to node number n.
func (p Plan) VethName(n int) string { return fmt.Sprintf("mcve%dn%d", p.Slot, n) }

// CgroupName is the cgroup below which all pods of node number n live.
func (p Plan) CgroupName(n int) string { return fmt.Sprintf("modelcache-test-%d-%d", p.Slot, n) }

// RuleComment marks the firewall rules of the cluster.
func (p Plan) RuleComment() string { return fmt.Sprintf("modelcache-test-%d", p.Slot) }
