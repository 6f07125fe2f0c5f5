{{/* Name of the chart, at most 50 bytes so that every suffix fits. */}}
{{- define "agentevals.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* What the names of all objects begin with. */}}
{{- define "agentevals.fullname" -}}
{{- $name := include "agentevals.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Labels that select the pods of one component: (list . "api"). Without the component, selectors would catch each
other's pods. */}}
{{- define "agentevals.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ include "agentevals.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/* Labels of an object of one component: (list . "api"). Pods have only the selector: they need not be replaced
because the chart has another version. */}}
{{- define "agentevals.labels" -}}
{{- $root := first . -}}
{{ include "agentevals.selector" . }}
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Reference of an image: (list IMAGE DEFAULT-TAG). */}}
{{- define "agentevals.image" -}}
{{- $image := first . -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (last .) }}
{{- end }}
{{- end }}

{{- define "agentevals.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "agentevals.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}
