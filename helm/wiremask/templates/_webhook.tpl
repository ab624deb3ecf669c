{{- /* Whether cert-manager makes the webhook's certificate; "" if not. */ -}}
{{- define "wiremask.byCertManager" -}}
{{- $certificates := .Values.injector.certificates -}}
{{- if kindIs "bool" $certificates.certManager -}}
{{- ternary "true" "" $certificates.certManager -}}
{{- else if not $certificates.caSecret -}}
{{- $there := lookup "v1" "Secret" .Release.Namespace (include "wiremask.tlsSecret" .) | default dict -}}
{{- $isOurs := dig "metadata" "annotations" "wiremask.dev/ca-made" "" $there -}}
{{- if and (.Capabilities.APIVersions.Has "cert-manager.io/v1") (not $isOurs) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "wiremask.tlsSecret" -}}
{{ .Values.injector.certificates.caSecret | default (printf "%s-tls" (include "wiremask.injectorName" .)) }}
{{- end -}}

{{- /* How the API server calls one path of the webhook: (dict "root" . "path" "mutate" "ca" PEM). */ -}}
{{- define "wiremask.webhook" -}}
admissionReviewVersions: [v1]
# What the webhook cannot decide is refused; a dry run is answered like any other, because nothing is done here.
failurePolicy: Fail
sideEffects: None
matchPolicy: Equivalent
timeoutSeconds: {{ .root.Values.injector.timeoutSeconds }}
clientConfig:
  {{- with .ca }}
  caBundle: {{ b64enc . }}
  {{- end }}
  service:
    name: {{ include "wiremask.injectorName" .root }}
    namespace: {{ .root.Release.Namespace }}
    path: /{{ .path }}
{{- end -}}

{{- /* The namespaces whose pods get the sidecar: labelled, and never the webhook's own or the cluster's. */ -}}
{{- define "wiremask.namespaceSelector" -}}
matchLabels:
  wiremask.dev/inject: "true"
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: [{{ .Release.Namespace }}, kube-system, kube-node-lease]
{{- end -}}
