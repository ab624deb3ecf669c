{{- /*
The proxy's container and volumes, once for all ways to run it. Include them in a Deployment of your own:

    spec:
      initContainers:
        - {{ include "wiremask.sidecar" .Subcharts.wiremask | nindent 10 | trim }}
      volumes:
        {{- include "wiremask.volumes" .Subcharts.wiremask | nindent 8 }}
*/ -}}
{{- define "wiremask.sidecar" -}}
restartPolicy: Always
{{ include "wiremask.container" (dict "root" . "config" .Values.config) }}
{{- end -}}

{{- /* The container alone: (dict "root" . "config" VALUES). */ -}}
{{- define "wiremask.container" -}}
name: wiremask
image: {{ include "wiremask.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [run]
env:
  - name: WIREMASK_ADMIN__ADDRESS
    value: "0.0.0.0:{{ .root.Values.proxy.adminPort }}"
  {{- include "wiremask.environment" (dict "prefix" "WIREMASK_" "values" .config) | trim | nindent 2 }}
  {{- with .root.Values.proxy.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - {name: admin, containerPort: {{ .root.Values.proxy.adminPort }}}
startupProbe:
  httpGet: {path: /startupz, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
resources:
  {{- toYaml .root.Values.proxy.resources | nindent 2 }}
securityContext:
  {{- include "wiremask.securityContext" . | nindent 2 }}
volumeMounts:
  - {name: wiremask-rules, mountPath: /etc/wiremask/rules, readOnly: true}
  {{- if .root.Values.keys.secret }}
  - {name: wiremask-keys, mountPath: /etc/wiremask/keys, readOnly: true}
  {{- end }}
  {{- if .root.Values.tls.secret }}
  - {name: wiremask-tls, mountPath: /etc/wiremask/tls, readOnly: true}
  {{- end }}
  {{- if .root.Values.credentials.secret }}
  - {name: wiremask-credentials, mountPath: /etc/wiremask/credentials, readOnly: true}
  {{- end }}
{{- end -}}

{{- define "wiremask.volumes" -}}
- name: wiremask-rules
  configMap: {name: {{ .Values.rules.configMap }}}
{{- with .Values.keys.secret }}
- name: wiremask-keys
  secret: {secretName: {{ . }}}
{{- end }}
{{- with .Values.tls.secret }}
- name: wiremask-tls
  secret: {secretName: {{ . }}}
{{- end }}
{{- with .Values.credentials.secret }}
- name: wiremask-credentials
  secret: {secretName: {{ . }}}
{{- end }}
{{- end -}}

{{- define "wiremask.securityContext" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- /*
Configuration as environment variables, one for each scalar: `upstream.bootstrapServers[0]` is
WIREMASK_UPSTREAM__BOOTSTRAP_SERVERS__0. (dict "prefix" "WIREMASK_" "values" MAPPING-OR-LIST)
*/ -}}
{{- define "wiremask.environment" -}}
{{- $prefix := .prefix -}}
{{- range $step, $value := .values }}
{{- $name := printf "%s%s" $prefix (snakecase (toString $step) | upper) }}
{{- if or (kindIs "map" $value) (kindIs "slice" $value) }}
{{- include "wiremask.environment" (dict "prefix" (printf "%s__" $name) "values" $value) }}
{{- else if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ if kindIs "float64" $value }}{{ $value | toJson | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Where the clients of a pod find their proxy: what the first listener says, or the proxy's own default. */ -}}
{{- define "wiremask.bootstrap" -}}
{{- $listener := first (.Values.config.listeners | default (list dict)) -}}
{{- $address := $listener.address | default "127.0.0.1:9092" -}}
{{- $host := $listener.advertisedHost | default (regexReplaceAll ":[0-9]+$" $address "") -}}
{{- $port := $listener.advertisedPort | default (regexFind "[0-9]+$" $address) -}}
{{ $host }}:{{ $port }}
{{- end -}}
