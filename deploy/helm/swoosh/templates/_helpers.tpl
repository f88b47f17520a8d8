{{- define "swoosh.fullname" -}}
{{- if contains "swoosh" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-swoosh" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "swoosh.selector" -}}
app.kubernetes.io/name: swoosh
app.kubernetes.io/instance: {{ .Release.Name }}
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
{{ toYaml .timing }}
{{- end }}

{{/* The settings file: what the values say, and over it what the chart itself mounts. */}}
{{- define "swoosh.settings" -}}
{{- $settings := deepCopy .Values.settings }}
{{- $_ := mergeOverwrite $settings (dict
  "cluster" .Values.cluster
  "listen" (printf "0.0.0.0:%d" (int .Values.service.port))
  "data" "/data"
  "http" (dict "observe" (printf "0.0.0.0:%d" (int .Values.observe.port)))) }}
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
