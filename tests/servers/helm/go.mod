module modelcache.test/helm

go 1.26.0

// Nothing is written here: the programs are built from their own modules, at these versions.
tool (
	github.com/yannh/kubeconform/cmd/kubeconform
	helm.sh/helm/v4/cmd/helm
)
