{{/* The one container of a pod. */}}
{{- define "app.container" -}}
{{- $service := .service -}}
{{- $port := include "app.port" . -}}
{{ include "app.program" . }}
{{- if $service.port }}
ports:
  - name: {{ $port }}
    containerPort: {{ $service.port | int64 }}
    protocol: TCP
  {{- range $service.ports }}
  - name: {{ .name | quote }}
    containerPort: {{ .port | int64 }}
    protocol: {{ .protocol }}
  {{- end }}
{{- end }}
{{ include "app.resources" . }}
{{- if $service.probes.live }}
{{- /* Whether it has started is whether it is alive: one that waits for what it needs is not helped by being restarted. */}}
startupProbe:
  {{- include "app.probe" (dict "probe" $service.probes.live "port" $port) | nindent 2 }}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: {{ $service.probes.startSeconds | int64 }}
{{- end }}
{{- if $service.probes.ready }}
readinessProbe:
  {{- include "app.probe" (dict "probe" $service.probes.ready "port" $port) | nindent 2 }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end }}
{{- if $service.probes.live }}
livenessProbe:
  {{- include "app.probe" (dict "probe" $service.probes.live "port" $port) | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 3
{{- end }}
{{- if $service.drainSeconds }}
{{- /* It goes on answering until everybody who sends it requests has heard that it is to end. */}}
lifecycle:
  preStop:
    sleep:
      seconds: {{ $service.drainSeconds | int64 }}
{{- end }}
{{ include "app.confined" . }}
{{- end }}

{{/* What runs, and with which variables. */}}
{{- define "app.program" -}}
{{- $service := .service -}}
name: {{ .name | quote }}
image: {{ $service.image | quote }}
imagePullPolicy: IfNotPresent
{{- with $service.command }}
command:
  {{- range . }}
  - {{ include "app.literal" . }}
  {{- end }}
{{- end }}
{{- with $service.args }}
args:
  {{- range . }}
  - {{ include "app.literal" . }}
  {{- end }}
{{- end }}
{{- $secretEnv := dig "secret" "env" (list) $service }}
{{- if or $service.env $secretEnv }}
env:
  {{- range $key, $value := $service.env }}
  - name: {{ $key | quote }}
    value: {{ include "app.literal" $value }}
  {{- end }}
  {{- range $secretEnv }}
  - name: {{ . | quote }}
    valueFrom:
      secretKeyRef:
        name: {{ $service.secret.name | quote }}
        key: {{ printf "env.%s" . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "app.resources" -}}
{{- $service := .service -}}
resources:
  requests:
    cpu: {{ $service.resources.cpuRequest | quote }}
    memory: {{ $service.resources.memory | quote }}
  limits:
    cpu: {{ $service.resources.cpu | quote }}
    memory: {{ $service.resources.memory | quote }}
{{- end }}

{{/* How it ends and what it may do. */}}
{{- define "app.confined" -}}
{{- $service := .service -}}
{{- /* The last lines of its log, where it says nothing else about its end. */ -}}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ not (dig "allow" "writableRoot" false $service) }}
  capabilities:
    drop: [ALL]
    {{- with dig "allow" "capabilities" (list) $service }}
    add: {{ . | toJson }}
    {{- end }}
{{- with include "app.mounts" . | trim }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "app.mounts" -}}
{{- if or .service.files (dig "secret" "files" (list) .service) (dig "assets" "sources" (list) .service) }}
- name: files
  mountPath: {{ .root.Values.filesPath | quote }}
  readOnly: true
{{- end }}
{{- range $index, $mount := dig "assets" "mounts" (list) .service }}
- name: asset-{{ $index }}
  mountPath: {{ $mount.path | quote }}
  subPath: {{ $mount.name | quote }}
  readOnly: true
{{- end }}
{{- range $index, $writable := .service.writable }}
- name: writable-{{ $index }}
  mountPath: {{ $writable.path | quote }}
{{- end }}
{{- range include "app.stored" . | fromJsonArray }}
- name: {{ .volume }}
  mountPath: {{ .path | quote }}
{{- end }}
{{- end }}

{{/* How its health is asked. Takes a dict of the `probe` and the name of the `port`. */}}
{{- define "app.probe" -}}
{{- if .probe.http -}}
httpGet:
  path: {{ .probe.http | quote }}
  port: {{ .port }}
{{- else if .probe.exec -}}
exec:
  command:
    {{- range .probe.exec }}
    - {{ include "app.literal" . }}
    {{- end }}
{{- else -}}
tcpSocket:
  port: {{ .port }}
{{- end }}
{{- end }}
