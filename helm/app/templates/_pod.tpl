{{/* The pods of a service: what a Deployment and a StatefulSet have in common. */}}
{{- define "app.pod" -}}
{{- $service := .service -}}
metadata:
  labels:
    {{- include "app.versioned" . | nindent 4 }}
  {{- if and $service.metrics .root.Values.monitoring.annotations }}
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: {{ $service.port | quote }}
    prometheus.io/path: {{ $service.metrics.path | quote }}
  {{- end }}
spec:
  serviceAccountName: {{ .name | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ add $service.drainSeconds $service.stopSeconds | max 1 }}
  securityContext:
    {{- include "app.owner" . | nindent 4 }}
    {{- if $service.lowPorts }}
    sysctls:
      - name: net.ipv4.ip_unprivileged_port_start
        value: "0"
    {{- end }}
  {{- if not $service.storage }}
  topologySpreadConstraints:
    {{- $it := . }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "app.selector" $it | nindent 10 }}
      {{- /* Each version is spread by itself; the one that is going would count otherwise. */}}
      matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  containers:
    - {{ include "app.container" . | indent 6 | trim }}
  {{- with include "app.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Whom the processes of a pod run as. */}}
{{- define "app.owner" -}}
runAsNonRoot: {{ not (dig "allow" "root" false .service) }}
{{- with .service.user }}
runAsUser: {{ .uid | int64 }}
runAsGroup: {{ .gid | int64 }}
fsGroup: {{ .gid | int64 }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What its files and its paths in memory are; what it stores is a claim of its StatefulSet. */}}
{{- define "app.volumes" -}}
{{- $secretFiles := dig "secret" "files" (list) .service -}}
{{- $assets := dig "assets" "sources" (list) .service -}}
{{- if or .service.files $secretFiles $assets }}
- name: files
  projected:
    {{- /* Its group is the one of the program. An image that names its own user has a group that is not known here. */}}
    defaultMode: {{ ternary 0o440 0o444 (hasKey .service "user") }}
    sources:
      {{- if .service.files }}
      - configMap:
          name: {{ include "app.files" . | quote }}
      {{- end }}
      {{- with $secretFiles }}
      - secret:
          name: {{ $.service.secret.name | quote }}
          items:
            {{- range . }}
            - key: {{ printf "file.%s" . | quote }}
              path: {{ . | quote }}
            {{- end }}
      {{- end }}
      {{- with include "app.sources" $assets | trim }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end }}
{{- range $index, $mount := dig "assets" "mounts" (list) .service }}
- name: asset-{{ $index }}
  projected:
    sources:
      {{- include "app.sources" $mount.sources | trim | nindent 6 }}
{{- end }}
{{- range $index, $writable := .service.writable }}
- name: writable-{{ $index }}
  emptyDir:
    medium: Memory
    sizeLimit: {{ $writable.size | quote }}
{{- end }}
{{- end }}

{{/* What of ConfigMaps and Secrets is in a volume, and where. Takes the list of them. */}}
{{- define "app.sources" -}}
{{- range . }}
- {{ .kind }}:
    name: {{ .name | quote }}
    items:
      {{- range .items }}
      - key: {{ .key | quote }}
        path: {{ .path | quote }}
        mode: {{ .mode | int64 }}
      {{- end }}
{{- end }}
{{- end }}
