{{- define "swoosh.fullname" -}}
{{- if contains "swoosh" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-swoosh" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "swoosh.selector" -}}
app.kubernetes.io/name: swoosh
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "swoosh.labels" -}}
{{ include "swoosh.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "swoosh.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion }}
{{- if .Values.image.digest }}{{ printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest }}{{ else }}{{ printf "%s:%s" .Values.image.repository $tag }}{{ end }}
{{- end }}

{{- define "swoosh.probe" -}}
{{- $scheme := "HTTP" }}
{{- if and .root.Values.tls.secretName (eq .root.Values.probes.port "http") }}{{ $scheme = "HTTPS" }}{{ end }}
{{- $scheme = .root.Values.probes.scheme | default $scheme -}}
httpGet: {path: {{ .path }}, port: {{ .root.Values.probes.port }}, scheme: {{ $scheme }}}
{{- with .timing }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A duration in milliseconds. */}}
{{- define "swoosh.milliseconds" -}}
{{- if hasSuffix "ms" . }}{{ trimSuffix "ms" . }}{{ else if hasSuffix "s" . }}{{ trimSuffix "s" . }}000{{ else }}{{ mul 60000 (trimSuffix "m" . | int) }}{{ end }}
{{- end }}

{{/* Checks that the schema of the values cannot express. */}}
{{- define "swoosh.check" -}}
{{- if eq (int .Values.service.port) (int .Values.observe.port) }}{{ fail "service.port and observe.port must differ: each is a listener of the node" }}{{ end }}
{{- $probes := .Values.probes }}
{{- if and (eq $probes.port "http") .Values.tls.requireClientCertificate }}{{ fail "probes.port: the kubelet has no client certificate; tls.requireClientCertificate needs probes.port: observe" }}{{ end }}
{{- if and (eq $probes.port "http") .Values.tls.secretName (eq ($probes.scheme | default "") "HTTP") }}{{ fail "probes.scheme: the main port speaks HTTPS, because tls.secretName is set" }}{{ end }}
{{- if and (eq $probes.port "observe") (eq ($probes.scheme | default "") "HTTPS") }}{{ fail "probes.scheme: the observe port speaks HTTP" }}{{ end }}
{{- $monitor := .Values.serviceMonitor }}
{{- if gt (include "swoosh.milliseconds" $monitor.scrapeTimeout | int) (include "swoosh.milliseconds" $monitor.interval | int) }}{{ fail "serviceMonitor.scrapeTimeout must not exceed serviceMonitor.interval" }}{{ end }}
{{- end }}

{{/* "true" where backups go to a volume of the chart: not where the settings name another directory. */}}
{{- define "swoosh.backups" -}}
{{- $settings := .Values.settings | default dict }}
{{- $backup := $settings.backup | default dict }}
{{- if and .Values.backup.enabled (not $backup.directory) }}true{{ end }}
{{- end }}

{{/* The settings file: the values, overridden by the paths that the chart mounts. */}}
{{- define "swoosh.settings" -}}
{{- $settings := deepCopy (.Values.settings | default dict) }}
{{- $_ := mergeOverwrite $settings (dict
  "cluster" .Values.cluster
  "listen" (printf "0.0.0.0:%d" (int .Values.service.port))
  "data" "/data"
  "http" (dict "observe" (printf "0.0.0.0:%d" (int .Values.observe.port)))) }}
{{- if include "swoosh.backups" . }}
{{- $_ := mergeOverwrite $settings (dict "backup" (dict "directory" "/backups")) }}
{{- with .Values.backup.recipients }}
{{- $_ := mergeOverwrite $settings (dict "backup" (dict "recipients" .)) }}
{{- end }}
{{- end }}
{{- if .Values.tls.secretName }}
{{- $_ := mergeOverwrite $settings (dict "tls" (dict
  "certificate" "/etc/swoosh/tls/tls.crt"
  "key" "/etc/swoosh/tls/tls.key"
  "require_client_certificate" .Values.tls.requireClientCertificate)) }}
{{- if .Values.tls.clientCa }}
{{- $_ := mergeOverwrite $settings (dict "tls" (dict "client_ca" "/etc/swoosh/tls/ca.crt")) }}
{{- end }}
{{- end }}
{{- if .Values.secrets.secretName }}
{{- $_ := mergeOverwrite $settings (dict "secrets" (dict "file" "/etc/swoosh/secrets/secrets.age" "identity" "/etc/swoosh/secrets/swoosh.agekey")) }}
{{- end }}
{{- if .Values.nodeKey.secretName }}
{{- $_ := mergeOverwrite $settings (dict "node_key" "/etc/swoosh/node-key/node.key") }}
{{- end }}
{{- if or .Values.policies.files .Values.policies.configMapName }}
{{- $_ := mergeOverwrite $settings (dict "policies" (dict "path" "/etc/swoosh/policies")) }}
{{- end }}
{{- toYaml $settings }}
{{- end }}
