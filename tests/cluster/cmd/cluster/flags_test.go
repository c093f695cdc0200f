package main

import (
	"slices"
	"testing"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"200Mi": 200 << 20, "4Gi": 4 << 30, "5242880": 5242880, "8192Ki": 8 << 20} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "Mi", "4G", "-4Gi", "1Mi", "99999999Ti", "1.5Gi"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q must be refused, got %d", bad, got)
		}
	}
}

func TestDiskSizesPerNode(t *testing.T) {
	var sizes diskSizes
	for _, value := range []string{"200Mi", "node-2=64Mi"} {
		if err := sizes.Set(value); err != nil {
			t.Fatal(err)
		}
	}
	if sizes.all != 200<<20 || sizes.perNode["node-2"] != 64<<20 {
		t.Errorf("got %+v", sizes)
	}
}

func TestFlagsBesideArguments(t *testing.T) {
	for _, arguments := range [][]string{
		{"--name", "x", "node-1", "--", "ls", "-l", "--name"},
		{"node-1", "--name", "x", "--", "ls", "-l", "--name"},
		{"node-1", "--name=x", "--", "ls", "-l", "--name"},
	} {
		flags := newFlags("test")
		rest, err := flags.parse(arguments)
		if err != nil || *flags.name != "x" || !slices.Equal(rest, []string{"node-1", "ls", "-l", "--name"}) {
			t.Errorf("%v: got name %q, rest %v, %v", arguments, *flags.name, rest, err)
		}
	}
}
