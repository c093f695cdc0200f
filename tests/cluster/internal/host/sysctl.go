package host

import (
	"os"
	"path/filepath"
	"strings"
)

// shared are kernel settings that a cluster changes for the whole machine: ours
// (forwarding, so that pods get out) and those the kubelet sets at its start.
var shared = []string{
	"net/ipv4/ip_forward",
	"vm/overcommit_memory",
	"vm/panic_on_oom",
	"kernel/panic",
	"kernel/panic_on_oops",
	"kernel/keys/root_maxkeys",
	"kernel/keys/root_maxbytes",
}

func sysctlFile(name string) string { return filepath.Join("/proc/sys", name) }

// SaveSysctls reads the shared settings, to be restored with RestoreSysctls.
func SaveSysctls() map[string]string {
	values := map[string]string{}
	for _, name := range shared {
		if value, err := os.ReadFile(sysctlFile(name)); err == nil {
			values[name] = strings.TrimSpace(string(value))
		}
	}
	return values
}

// RestoreSysctls puts the settings back.
func RestoreSysctls(values map[string]string) error {
	for name, value := range values {
		now, err := os.ReadFile(sysctlFile(name))
		if err != nil || strings.TrimSpace(string(now)) == value {
			continue
		}
		if err := os.WriteFile(sysctlFile(name), []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// PrepareKernel loads what distributions load on demand, and forwards packets.
func PrepareKernel() error {
	for _, module := range []string{"overlay", "br_netfilter"} {
		_ = Run("modprobe", module) // built in, or the part that needs it says so
	}
	return os.WriteFile(sysctlFile("net/ipv4/ip_forward"), []byte("1"), 0o644)
}
