{{- /* The gateway's configuration: what its Service and its nodes ask for, under what `config` says. */ -}}
{{- define "wiremask.gatewayConfig" -}}
{{- $listener := dict
      "address" "0.0.0.0:9092"
      "advertisedHost" (.Values.gateway.advertisedHost | default (printf "%s.%s.svc" (include "wiremask.gatewayName" .) .Release.Namespace))
      "nodes" .Values.gateway.nodes -}}
{{- $config := deepCopy .Values.config -}}
{{- $listeners := $config.listeners | default (list dict) -}}
{{- $first := mergeOverwrite $listener (first $listeners) -}}
{{- $_ := set $config "listeners" (prepend (rest $listeners) $first) -}}
{{- $_ := set $config "limits" (mergeOverwrite (dict "drainSeconds" .Values.gateway.drainSeconds) ($config.limits | default dict)) -}}
{{ toYaml $config }}
{{- end -}}

{{- /* How many node ports there are; none where nodes are told apart by name (SNI). */ -}}
{{- define "wiremask.gatewayNodes" -}}
{{- $listener := first (.Values.config.listeners | default (list dict)) -}}
{{- if dig "tls" "nodeNames" "" $listener -}}
0
{{- else -}}
{{- with .Values.gateway.nodes -}}
{{ add 1 (sub .last .first) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What `helm test` connects to, as a Python list. */ -}}
{{- define "wiremask.testTargets" -}}
{{- $targets := list -}}
{{- if .Values.gateway.enabled -}}
{{- $targets = append $targets (printf "(%q, 9092)" (include "wiremask.gatewayName" .)) -}}
{{- end -}}
{{- if .Values.injector.enabled -}}
{{- $targets = append $targets (printf "(%q, 443)" (include "wiremask.injectorName" .)) -}}
{{- end -}}
[{{ join ", " $targets }}]
{{- end -}}
