package main

import (
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
	"k8s.io/klog/v2"
)

// hostPathVolumes is where the built-in host-path provisioner makes its
// volumes. The path is fixed in its source.
const hostPathVolumes = "/tmp/hostpath_pv"

// openHostPathVolumes makes every new host-path volume writable for all users.
//
// The provisioner makes them 0750 for root, and hostPath volumes know no
// fsGroup, so a non-root pod could not use them. Real provisioners of shared
// storage hand out directories any pod may write to; this gives the test
// StorageClasses the same property. The volume becomes known to the cluster
// only after the directory exists, so no pod sees it before the chmod.
func openHostPathVolumes() {
	if _, err := os.Stat(hostPathVolumes); err != nil {
		return // a control plane without nodes provisions nothing
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(hostPathVolumes)
	}
	if err != nil {
		klog.Background().Error(err, "Host-path volumes stay closed to non-root pods")
		return
	}
	go func() {
		for event := range watcher.Events {
			if event.Has(fsnotify.Create) && filepath.Dir(event.Name) == hostPathVolumes {
				if err := os.Chmod(event.Name, 0o777); err != nil {
					klog.Background().Error(err, "Host-path volume stays closed to non-root pods", "path", event.Name)
				}
			}
		}
	}()
}
