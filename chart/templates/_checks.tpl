{{/* Refuses what would not work, and says what to do. */}}
{{- define "agentevals.check" -}}
{{- include "agentevals.check.database" . }}
{{- include "agentevals.check.access" . }}
{{- include "agentevals.check.pods" . }}
{{- end }}

{{- define "agentevals.check.database" -}}
{{- $given := list }}
{{- with .Values.database }}
{{- if .url }}{{ $given = append $given "database.url" }}{{ end }}
{{- if .existingSecret.name }}{{ $given = append $given "database.existingSecret.name" }}{{ end }}
{{- if .urlFile }}{{ $given = append $given "database.urlFile" }}{{ end }}
{{- if and .listenUrl (not .url) }}
{{- fail "database.listenUrl goes with database.url; with a Secret, name its key in database.existingSecret.listenKey" }}
{{- end }}
{{- if and .listenUrlFile $.Values.postgresql.enabled }}
{{- fail "database.listenUrlFile is for an external database; the bundled one has no pooler before it" }}
{{- end }}
{{- end }}
{{- if .Values.postgresql.enabled }}{{ $given = append $given "postgresql.enabled" }}{{ end }}
{{- if empty $given }}
{{- fail "no database is named; set one of database.url, database.existingSecret.name, database.urlFile, or postgresql.enabled=true for a trial" }}
{{- end }}
{{- if gt (len $given) 1 }}
{{- fail (printf "%s name several databases; set only one of them" (join " and " $given)) }}
{{- end }}
{{- if and .Values.postgresql.enabled (eq .Values.migrations.mode "hook") }}
{{- fail "migrations.mode=hook cannot reach the bundled database, which does not exist before the install; leave it `auto`" }}
{{- end }}
{{- end }}

{{- define "agentevals.check.access" -}}
{{- with .Values.auth }}
{{- $given := list }}
{{- if .existingSecret.name }}{{ $given = append $given "auth.existingSecret.name" }}{{ end }}
{{- if .tokens }}{{ $given = append $given "auth.tokens" }}{{ end }}
{{- if .insecureNoAuth }}{{ $given = append $given "auth.insecureNoAuth" }}{{ end }}
{{- if empty $given }}
{{- fail "nobody is said to have access; set auth.existingSecret.name (a Secret with lines `NAME SCOPES sha256:DIGEST`) or auth.tokens, or auth.insecureNoAuth=true to let everyone in" }}
{{- end }}
{{- if gt (len $given) 1 }}
{{- fail (printf "%s contradict each other; set only one of them" (join " and " $given)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "agentevals.check.pods" -}}
{{- if not .Values.image.repository }}
{{- fail "image.repository is empty; name the image of agentevals that you built, such as registry.example.org/agentevals" }}
{{- end }}
{{- if not (or .Values.worker.enabled (int .Values.api.concurrentRuns)) }}
{{- fail "nobody would execute runs; set worker.enabled=true or api.concurrentRuns" }}
{{- end }}
{{- range $component := list "api" "worker" }}
{{- with (index $.Values $component).autoscaling }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "%s.autoscaling.minReplicas is more than maxReplicas" $component) }}
{{- end }}
{{- if not (dig "requests" "cpu" "" (index $.Values $component).resources) }}
{{- fail (printf "%s.autoscaling needs %s.resources.requests.cpu, of which its target is a percentage" $component $component) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.runs }}
{{- if and .leaseS .heartbeatS (lt (float64 .leaseS) (mulf 2 .heartbeatS)) }}
{{- fail "runs.leaseS is less than twice runs.heartbeatS, so that a late sign of life would lose the run; raise it" }}
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (empty .Values.ingress.hosts) }}
{{- fail "ingress.enabled needs ingress.hosts, such as [{host: agentevals.example.org, paths: [{path: /, pathType: Prefix}]}]" }}
{{- end }}
{{- end }}

{{/* Who updates the tables. With the bundled database every process does as it starts, one after the other: a Job
before the install would wait for a database that is installed after it. */}}
{{- define "agentevals.migrations.mode" -}}
{{- if ne .Values.migrations.mode "auto" }}
{{- .Values.migrations.mode }}
{{- else }}
{{- ternary "start" "hook" .Values.postgresql.enabled }}
{{- end }}
{{- end }}

{{/* Seconds that a pod has to stop in: (list COMPONENT GIVEN NEEDED). What is needed leaves time for the runs that
may go on, requests under way, and giving back what is left; a pod killed before would lose an attempt at each run. */}}
{{- define "agentevals.grace" -}}
{{- $given := index . 1 }}
{{- $needed := last . | int }}
{{- if eq (toString $given) "" }}
{{- $needed }}
{{- else if lt (int $given) $needed }}
{{- fail (printf "%s.terminationGracePeriodS is %d, but what a pod has to finish may take %d; raise it or lower runs.shutdownGraceS" (first .) (int $given) $needed) }}
{{- else }}
{{- int $given }}
{{- end }}
{{- end }}
