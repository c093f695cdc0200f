package host

import (
	"fmt"
	"net"
	"os"
	"strings"

	"modelcache.test/cluster/internal/addr"
)

// MakeBridge makes the cluster's bridge with the machine's address on it, and
// lets traffic pass between nodes and out to the world.
func MakeBridge(plan addr.Plan) error {
	bridge := plan.BridgeName()
	commands := [][]string{
		{"ip", "link", "add", bridge, "type", "bridge"},
		{"ip", "addr", "add", fmt.Sprintf("%s/24", plan.Bridge()), "dev", bridge},
		{"ip", "link", "set", bridge, "up"},
	}
	for _, rule := range rules(plan) {
		commands = append(commands, append([]string{"iptables", "-w", "10", "-t", rule.table, "-I", rule.chain}, rule.match...))
	}
	for _, command := range commands {
		if err := Run(command...); err != nil {
			return err
		}
	}
	return nil
}

type rule struct {
	table, chain string
	match        []string
}

// rules lets pods out (a machine with Docker drops what it forwards) and hides
// their addresses from the world.
func rules(plan addr.Plan) []rule {
	bridge, comment := plan.BridgeName(), []string{"-m", "comment", "--comment", plan.RuleComment()}
	with := func(match ...string) []string { return append(match, comment...) }
	return []rule{
		{"filter", "FORWARD", append(with("-i", bridge), "-j", "ACCEPT")},
		{"filter", "FORWARD", append(with("-o", bridge), "-j", "ACCEPT")},
		{"nat", "POSTROUTING", append(with("-s", plan.Range.String(), "!", "-o", bridge), "-j", "MASQUERADE")},
	}
}

// RemoveBridge undoes MakeBridge, whatever part of it was done.
func RemoveBridge(plan addr.Plan) error {
	for _, rule := range rules(plan) {
		arguments := func(action string) []string {
			return append([]string{"iptables", "-w", "10", "-t", rule.table, action, rule.chain}, rule.match...)
		}
		for Run(arguments("-C")...) == nil {
			if err := Run(arguments("-D")...); err != nil {
				return err
			}
		}
	}
	if _, err := net.InterfaceByName(plan.BridgeName()); err != nil {
		return nil
	}
	return Run("ip", "link", "delete", plan.BridgeName())
}

// PlugIn connects a node's network namespace to the bridge.
func PlugIn(plan addr.Plan, number, pid int) error {
	veth, bridge, namespace := plan.VethName(number), plan.BridgeName(), fmt.Sprint(pid)
	inside := func(argv ...string) []string { return append([]string{"nsenter", "-t", namespace, "-n"}, argv...) }
	for _, command := range [][]string{
		{"ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", namespace},
		{"ip", "link", "set", veth, "master", bridge, "up"},
		inside("ip", "link", "set", "lo", "up"),
		inside("ip", "addr", "add", fmt.Sprintf("%s/24", plan.Node(number)), "dev", "eth0"),
		inside("ip", "link", "set", "eth0", "up"),
		inside("ip", "route", "add", "default", "via", plan.Bridge().String()),
		{"ip", "route", "replace", plan.PodSubnet(number).String(), "via", plan.Node(number).String()},
		// A node that had this address before had another hardware address.
		{"ip", "neigh", "flush", "dev", bridge},
	} {
		if err := Run(command...); err != nil {
			return err
		}
	}
	return nil
}

// Unplug undoes PlugIn. The kernel removes the cable with the namespace, but
// only some time after its last process.
func Unplug(plan addr.Plan, number int) error {
	_ = Run("ip", "route", "delete", plan.PodSubnet(number).String(), "via", plan.Node(number).String())
	if _, err := net.InterfaceByName(plan.VethName(number)); err != nil {
		return nil
	}
	if err := Run("ip", "link", "delete", plan.VethName(number)); err != nil && !strings.Contains(err.Error(), "Cannot find device") {
		return err
	}
	return nil
}

// RouteServices lets the machine itself reach service addresses through one
// node, whose kube-proxy translates them. The API server needs that to call
// webhooks.
func RouteServices(plan addr.Plan, number int) error {
	return Run("ip", "route", "replace", plan.Services().String(), "via", plan.Node(number).String())
}

// Resolvers makes a resolv.conf that works inside a node: name servers on the
// machine's loopback are not reachable there.
func Resolvers() string {
	for _, file := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		content, err := os.ReadFile(file)
		if err == nil {
			return withoutLoopback(string(content))
		}
	}
	return ""
}

func withoutLoopback(resolvConf string) string {
	var kept []string
	for _, line := range strings.Split(resolvConf, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		ip := net.ParseIP(fields[1])
		if fields[0] == "nameserver" && (ip == nil || ip.IsLoopback()) {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n") + "\n"
}

// Nameservers are the name servers of a resolv.conf.
func Nameservers(resolvConf string) []string {
	var servers []string
	for _, line := range strings.Split(resolvConf, "\n") {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "nameserver" {
			servers = append(servers, fields[1])
		}
	}
	return servers
}
