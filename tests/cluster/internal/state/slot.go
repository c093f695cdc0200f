package state

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"modelcache.test/cluster/internal/addr"
	"modelcache.test/cluster/internal/layout"
)

// Lock holds a lock file until the returned function is called or the process
// ends. Only one launcher at a time holds a lock of the same name.
func Lock(name string) (func(), error) {
	root, err := layout.ClustersRoot()
	if err != nil {
		return nil, err
	}
	locks := filepath.Join(filepath.Dir(root), "locks")
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(locks, name), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("the lock %s cannot be taken: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// LockCluster makes the caller the only launcher that changes the cluster.
func LockCluster(name string) (func(), error) { return Lock("cluster-" + name) }

// LockMachine guards what clusters share: the choice of slots, and the few
// settings of the machine that the first one changes and the last one restores.
func LockMachine() (func(), error) { return Lock("machine") }

// FreeSlot finds a slot that no cluster uses and whose addresses are free on
// this machine. The caller holds the machine's lock until its record is saved.
func FreeSlot(addressRange string) (addr.Plan, error) {
	names, err := List()
	if err != nil {
		return addr.Plan{}, err
	}
	taken := map[int]bool{}
	var ranges []netip.Prefix
	for _, name := range names {
		record, _, err := Load(name)
		if err != nil {
			return addr.Plan{}, err
		}
		taken[record.Slot] = true
		ranges = append(ranges, record.Plan().Range)
	}
	inUse, err := interfaceSubnets()
	if err != nil {
		return addr.Plan{}, err
	}
	ranges = append(ranges, inUse...)
	for slot := range addr.Slots {
		if taken[slot] {
			continue
		}
		plan := addr.ForSlot(slot)
		if addressRange != "" {
			if plan, err = plan.WithRange(addressRange); err != nil {
				return plan, err
			}
			if other, overlaps := overlap(plan.Range, ranges); overlaps {
				return plan, fmt.Errorf("the address range %s must be free on this machine, but %s is in use", addressRange, other)
			}
		}
		if _, overlaps := overlap(plan.Range, ranges); !overlaps && loopbackFree(plan) {
			return plan, nil
		}
	}
	return addr.Plan{}, fmt.Errorf("all %d places for clusters on this machine are taken: take one down first", addr.Slots)
}

func overlap(wanted netip.Prefix, ranges []netip.Prefix) (netip.Prefix, bool) {
	for _, used := range ranges {
		if used.Overlaps(wanted) {
			return used, true
		}
	}
	return netip.Prefix{}, false
}

func interfaceSubnets() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var subnets []netip.Prefix
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			subnets = append(subnets, prefix.Masked())
		}
	}
	return subnets, nil
}

// loopbackFree catches the cluster of another user, whose record lies elsewhere.
func loopbackFree(plan addr.Plan) bool {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(plan.Loopback(), 2379).String())
	if err != nil {
		return false
	}
	listener.Close()
	return true
}
