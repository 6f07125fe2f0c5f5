{{/* What the pods of agentevals have in common: (list . COMPONENT), where `api` and `worker` have values of their own. */}}
{{- define "agentevals.pod" -}}
{{- $root := first . }}
{{- $component := last . }}
{{- $own := get $root.Values $component | default dict }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- /* A Service named `agentevals` would otherwise become AGENTEVALS_PORT=tcp://… in every pod. */}}
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with merge (dict) ($own.nodeSelector | default dict) $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $root.Values.tolerations ($own.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Labels and annotations of a pod: (list . COMPONENT). */}}
{{- define "agentevals.podMetadata" -}}
{{- $root := first . }}
{{- $own := get $root.Values (last .) | default dict }}
labels:
  {{- $labels := include "agentevals.selector" . | fromYaml }}
  {{- toYaml (merge (dict) $labels ($own.podLabels | default dict) $root.Values.podLabels) | nindent 2 }}
{{- $annotations := merge (dict) ($own.podAnnotations | default dict) $root.Values.podAnnotations }}
{{- if $root.Values.database.url }}
{{- $content := printf "%s\n%s" $root.Values.database.url $root.Values.database.listenUrl }}
{{- $_ := set $annotations "checksum/database" (sha256sum $content) }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Spread over nodes and zones as far as possible: (list . COMPONENT). */}}
{{- define "agentevals.spread" -}}
{{- $constraints := (get (first .).Values (last .)).topologySpreadConstraints }}
topologySpreadConstraints:
{{- if $constraints }}
  {{- toYaml $constraints | nindent 2 }}
{{- else }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "agentevals.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the containers of agentevals have in common. */}}
{{- define "agentevals.container" -}}
image: {{ include "agentevals.image" (list .Values.image .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end }}

{{/* Mounts of the pods that know runs: (list . COMPONENT). */}}
{{- define "agentevals.mounts" -}}
{{- $root := first . }}
{{- $component := last . }}
- name: tmp
  mountPath: /tmp
{{- if and (eq $component "api") (not $root.Values.auth.insecureNoAuth) }}
- name: tokens
  mountPath: /etc/agentevals/tokens
  readOnly: true
{{- end }}
{{- if $root.Values.credentials.directorySecret }}
- name: credentials
  mountPath: /etc/agentevals/credentials
  readOnly: true
{{- end }}
{{- if $root.Values.codeEvaluators }}
- name: evaluators
  mountPath: /etc/agentevals/evaluators
  readOnly: true
{{- end }}
{{- if $root.Values.fileSinks }}
- name: sinks
  mountPath: /var/lib/agentevals/sinks
{{- end }}
{{- with concat $root.Values.extraVolumeMounts (get $root.Values $component).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The volumes of these mounts: (list . COMPONENT). */}}
{{- define "agentevals.volumes" -}}
{{- $root := first . }}
{{- $component := last . }}
{{- $executes := gt (int (get $root.Values $component).concurrentRuns) 0 }}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- if and (eq $component "api") (not $root.Values.auth.insecureNoAuth) }}
- name: tokens
  secret:
    secretName: {{ include "agentevals.tokens.secret" $root }}
{{- end }}
{{- with $root.Values.credentials.directorySecret }}
- name: credentials
  {{- /* To accept names of files, a process needs the folder, and not what is in them. */}}
  {{- if $executes }}
  secret:
    secretName: {{ . }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- end }}
{{- with $root.Values.codeEvaluators }}
- name: evaluators
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.fileSinks }}
- name: sinks
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $root.Values.extraVolumes (get $root.Values $component).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
