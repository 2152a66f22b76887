{{/* Each takes a dict of `root` (the chart's own context) and, where it is about one, the `name` of a service and the
     `service` itself. Names are quoted throughout, since some, such as `null`, are words of YAML. */}}

{{/* What never changes about a service, and so can select its pods. */}}
{{- define "app.selector" -}}
app.kubernetes.io/name: {{ .name | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end }}

{{/* What is on everything of the release. None of it changes from version to version: a StatefulSet's claims cannot be
     given other labels, and one more line of code is no reason to touch a Service. */}}
{{- define "app.common" -}}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/part-of: {{ .root.Values.system | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
deployment_id: {{ .root.Values.deploymentId | quote }}
{{- end }}

{{- define "app.labels" -}}
app.kubernetes.io/name: {{ .name | quote }}
{{ include "app.common" . }}
{{- end }}

{{/* The same on what is another one with each version: the workload and its pods. Tags may be longer than labels. */}}
{{- define "app.versioned" -}}
{{ include "app.labels" . }}
{{- with .service.version | default "" | trunc 63 | trimAll "-_." }}
app.kubernetes.io/version: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "app.kind" -}}
{{- if .service.storage }}StatefulSet{{ else }}Deployment{{ end -}}
{{- end }}

{{/* Its volumes as a list in JSON, each with what it is called in a pod. `data` was once the only one. */}}
{{- define "app.stored" -}}
{{- $all := list }}
{{- with .service.storage }}
{{- range concat (list .) (.more | default list) }}
{{- $volume := ternary "data" (printf "volume-%s" .name) (empty .name) }}
{{- $all = append $all (dict "volume" $volume "path" .path "size" .size) }}
{{- end }}
{{- end }}
{{- $all | toJson }}
{{- end }}

{{/* What its port is called. Beside others it is the main one, since they have names of their own. */}}
{{- define "app.port" -}}
{{- if .service.ports }}main{{ else if .service.http }}http{{ else }}tcp{{ end -}}
{{- end }}

{{/* A ConfigMap is named after what is in it and never changes, so that going back finds the files as they were. */}}
{{- define "app.files" -}}
{{ .name }}-{{ .service.files | toJson | sha256sum | trunc 10 }}
{{- end }}

{{/* Kubernetes replaces $(NAME) in variables, arguments and commands, and takes $$ for a dollar. */}}
{{- define "app.literal" -}}
{{ . | replace "$" "$$" | toJson }}
{{- end }}
