package main

import (
	"strings"

	"modelcache.test/cluster/internal/selftest"
)

// selftestVerb runs all scenarios, or those whose name contains the words.
func selftestVerb(arguments []string) error {
	flags := newFlags("selftest")
	words, err := flags.parse(arguments)
	if err != nil {
		return err
	}
	return selftest.Run(strings.Join(words, " "))
}
