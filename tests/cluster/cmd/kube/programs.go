package main

import (
	"context"
	"os"
	_ "time/tzdata" // time zones of CronJobs, as the upstream mains have it

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins of kubectl
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func runEtcd() { etcdmain.Main(os.Args) }

func runAPIServer() { serve(apiserver.NewAPIServerCommand()) }
func runScheduler() { serve(scheduler.NewSchedulerCommand()) }
func runProxy()     { serve(proxy.NewProxyCommand()) }
func runKubelet()   { serve(kubelet.NewKubeletCommand(context.Background())) }

func runControllerManager() {
	openHostPathVolumes()
	serve(controllermanager.NewControllerManagerCommand())
}

func serve(command *cobra.Command) { os.Exit(cli.Run(command)) }

// runKubectl mirrors the upstream main, which differs from the servers' in how
// it prints errors.
func runKubectl() {
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // verbosity counts while the commands are built, too
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
