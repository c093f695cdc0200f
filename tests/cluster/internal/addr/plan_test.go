package addr

import (
	"net/netip"
	"testing"
)

func TestPartsOfOnePlanDoNotOverlap(t *testing.T) {
	plan := ForSlot(3)
	parts := []netip.Prefix{plan.NodeSubnet(), plan.Services()}
	for n := 1; n <= MaxNodes; n++ {
		if !plan.Pods().Contains(plan.PodSubnet(n).Addr()) {
			t.Errorf("pods of node %d are outside %s", n, plan.Pods())
		}
		if !plan.NodeSubnet().Contains(plan.Node(n)) {
			t.Errorf("node %d is outside %s", n, plan.NodeSubnet())
		}
		parts = append(parts, plan.PodSubnet(n))
	}
	for i, a := range parts {
		if !plan.Range.Contains(a.Addr()) {
			t.Errorf("%s is outside %s", a, plan.Range)
		}
		for _, b := range parts[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s overlaps %s", a, b)
			}
		}
	}
	if !plan.Services().Contains(plan.APIService()) {
		t.Errorf("%s is no service address", plan.APIService())
	}
}

func TestSlotsDoNotOverlap(t *testing.T) {
	seen := map[string]int{}
	for slot := range Slots {
		plan := ForSlot(slot)
		for _, own := range []string{plan.Range.String(), plan.Loopback().String(), plan.BridgeName(), plan.VethName(1), plan.CgroupName(1)} {
			if other, taken := seen[own]; taken {
				t.Errorf("slots %d and %d share %s", other, slot, own)
			}
			seen[own] = slot
		}
	}
}

func TestInterfaceNamesFitTheKernel(t *testing.T) {
	plan := ForSlot(Slots - 1)
	for _, name := range []string{plan.BridgeName(), plan.VethName(MaxNodes)} {
		if len(name) > 15 {
			t.Errorf("%s is longer than the 15 characters an interface name may have", name)
		}
	}
}

func TestAddressRange(t *testing.T) {
	plan, err := ForSlot(0).WithRange("10.99.0.0/16")
	if err != nil || plan.Bridge().String() != "10.99.0.1" {
		t.Errorf("got %v, %v", plan, err)
	}
	for _, bad := range []string{"", "10.99.0.0", "10.99.0.0/24", "10.99.1.0/16", "fd00::/16"} {
		if _, err := ForSlot(0).WithRange(bad); err == nil {
			t.Errorf("%q must be refused", bad)
		}
	}
}
