// Command monitoring reads one object of the Prometheus operator as YAML, strictly: a member that the operator does not
// know is an error.
package main

import (
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	kinds := map[string]any{
		"PodMonitor":     &monitoring.PodMonitor{},
		"ServiceMonitor": &monitoring.ServiceMonitor{},
		"PrometheusRule": &monitoring.PrometheusRule{},
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		kind, known := kinds[os.Args[1]]
		if !known {
			err = fmt.Errorf("unknown kind %s", os.Args[1])
		} else {
			err = yaml.UnmarshalStrict(text, kind)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
