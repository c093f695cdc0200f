package selftest

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modelcache.test/cluster/internal/host"
	"modelcache.test/cluster/internal/state"
)

// machine is what clusters could leave behind.
type machine struct{ traces map[string]bool }

// lookAtMachine lists mounts, interfaces, routes, firewall rules, loop devices,
// cgroups, processes and files at well-known places.
func lookAtMachine() (*machine, error) {
	m := &machine{map[string]bool{}}
	for what, argv := range map[string][]string{
		"mount":       {"cat", "/proc/self/mountinfo"},
		"route":       {"ip", "route"},
		"loop device": {"losetup", "--noheadings", "--output", "BACK-FILE"},
	} {
		output, err := host.Output(argv...)
		if err != nil {
			return nil, err
		}
		m.add(what, strings.Split(output, "\n")...)
	}
	for _, table := range []string{"filter", "nat"} {
		if output, err := host.Output("iptables", "-w", "10", "-t", table, "-S"); err == nil { // not installed yet
			m.add("firewall rule", strings.Split(output, "\n")...)
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, one := range interfaces {
		m.add("interface", one.Name)
	}
	for _, pattern := range []string{
		"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/run/*", "/run/netns/*", "/tmp/hostpath_pv/*",
		"/tmp/hostpath_pv", "/var/lib/*", "/var/log/*", "/opt/*", "/etc/cni/*",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if info, err := os.Lstat(file); err == nil && info.IsDir() {
				m.add("directory", file)
			}
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	for _, file := range processes {
		environment, _ := os.ReadFile(file)
		for _, name := range clusterNames {
			if strings.Contains(string(environment), "clusters/"+name) {
				m.add("process", filepath.Dir(file))
			}
		}
	}
	return m, nil
}

func (m *machine) add(what string, lines ...string) {
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			m.traces[what+": "+line] = true
		}
	}
}

// since lists what is new, except what belongs to clusters of others that came
// up in the meantime.
func (m *machine) since(before *machine) ([]string, error) {
	foreign, err := foreignTokens()
	if err != nil {
		return nil, err
	}
	var added []string
	for trace := range m.traces {
		isForeign := slices.ContainsFunc(foreign, func(token string) bool { return strings.Contains(trace, token) })
		if !before.traces[trace] && !isForeign {
			added = append(added, trace)
		}
	}
	return added, nil
}

// tracesSince is what is there now and was not before.
func tracesSince(before *machine) ([]string, error) {
	now, err := lookAtMachine()
	if err != nil {
		return nil, err
	}
	return now.since(before)
}

// foreignTokens are what the traces of the clusters of others contain.
func foreignTokens() ([]string, error) {
	names, err := state.List()
	if err != nil {
		return nil, err
	}
	var tokens []string
	for _, name := range names {
		if slices.Contains(clusterNames, name) {
			continue
		}
		record, dir, err := state.Load(name)
		if err != nil {
			return nil, err
		}
		plan := record.Plan()
		tokens = append(tokens, string(dir)+"/", plan.BridgeName(), plan.VethName(1)[:len(plan.VethName(1))-1], plan.RuleComment(), plan.Bridge().String())
		if !record.ControlPlaneOnly {
			tokens = append(tokens, "/tmp/hostpath_pv") // goes with the last cluster
		}
	}
	return tokens, nil
}
