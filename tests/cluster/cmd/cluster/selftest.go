package main

import "errors"

func selftestVerb(arguments []string) error { return errors.New("not yet") }
