module modelcache.dev/tests/gitops

go 1.26
