{{/* One variable, unless its value is empty: (list NAME VALUE). Numbers of a values file arrive as floats. */}}
{{- define "agentevals.variable" -}}
{{- $value := last . }}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}
{{- $value = printf "%.0f" $value }}
{{- end }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
- name: {{ first . }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}

{{/* One variable out of a Secret: (list NAME SECRET KEY). */}}
{{- define "agentevals.secretVariable" -}}
- name: {{ first . }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ last . }}
{{- end }}

{{/* The Secret that holds the connection string, and its keys. */}}
{{- define "agentevals.database.secret" -}}
{{- if .Values.postgresql.enabled }}
{{- include "agentevals.fullname" . }}-postgresql
{{- else }}
{{- .Values.database.existingSecret.name | default (printf "%s-database" (include "agentevals.fullname" .)) }}
{{- end }}
{{- end }}

{{/* Where the database is: (list . SECRET CONNECT-TIMEOUT). */}}
{{- define "agentevals.env.database" -}}
{{- $root := first . }}
{{- $secret := index . 1 }}
{{- with $root.Values.database }}
{{- if .urlFile }}
{{- include "agentevals.variable" (list "AGENTEVALS_DATABASE_URL_FILE" .urlFile) }}
{{- else }}
{{ include "agentevals.secretVariable" (list "AGENTEVALS_DATABASE_URL" $secret (ternary .existingSecret.key "url" (not (empty .existingSecret.name)))) }}
{{- end }}
{{- if .listenUrlFile }}
{{- include "agentevals.variable" (list "AGENTEVALS_DATABASE_LISTEN_URL_FILE" .listenUrlFile) }}
{{- else if .listenUrl }}
{{ include "agentevals.secretVariable" (list "AGENTEVALS_DATABASE_LISTEN_URL" $secret "listen-url") }}
{{- else if and .existingSecret.name .existingSecret.listenKey }}
{{ include "agentevals.secretVariable" (list "AGENTEVALS_DATABASE_LISTEN_URL" $secret .existingSecret.listenKey) }}
{{- end }}
{{- include "agentevals.variable" (list "AGENTEVALS_DATABASE_SCHEMA" .schema) }}
{{- end }}
{{- include "agentevals.variable" (list "AGENTEVALS_DB_CONNECT_TIMEOUT_S" (last .)) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MIGRATE_LOCK_TIMEOUT" $root.Values.migrations.lockTimeoutS) }}
{{- end }}

{{/* What every process that knows runs is told: (list . CONCURRENT-RUNS). Values of credentials reach only those that
execute runs; the others need their names, to refuse what names another. */}}
{{- define "agentevals.env.runs" -}}
{{- $root := first . }}
{{- $executes := gt (int (last .)) 0 }}
{{- $timeout := $root.Values.database.connectTimeoutS }}
{{- include "agentevals.variable" (list "AGENTEVALS_STORAGE_BACKEND" "postgres") }}
{{ include "agentevals.env.database" (list $root (include "agentevals.database.secret" $root) $timeout) | trim }}
{{- $migrates := eq (include "agentevals.migrations.mode" $root) "start" }}
{{- include "agentevals.variable" (list "AGENTEVALS_AUTO_MIGRATE" (toString $migrates)) }}
{{- include "agentevals.variable" (list "AGENTEVALS_LOG_LEVEL" $root.Values.logLevel) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MAX_CONCURRENT_RUNS" (last .)) }}
{{- with $root.Values.runs }}
{{- include "agentevals.variable" (list "AGENTEVALS_LEASE_S" .leaseS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_HEARTBEAT_S" .heartbeatS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_WORKER_POLL_INTERVAL_S" .pollIntervalS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_RETRY_BACKOFF_S" .retryBackoffS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_SHUTDOWN_GRACE_S" .shutdownGraceS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_RETENTION" .retention) }}
{{- end }}
{{- with $root.Values.outbound }}
{{- include "agentevals.variable" (list "AGENTEVALS_OUTBOUND_ALLOW" (join "," .allow)) }}
{{- include "agentevals.variable" (list "AGENTEVALS_FETCH_TIMEOUT_S" .fetchTimeoutS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_FETCH_MAX_BYTES" .fetchMaxBytes) }}
{{- end }}
{{- with $root.Values.credentials }}
{{- $names := list }}
{{- range .env }}
{{- $names = append $names .name }}
{{- if $executes }}
{{ include "agentevals.secretVariable" (list .name .secret .key) }}
{{- end }}
{{- end }}
{{- include "agentevals.variable" (list "AGENTEVALS_CREDENTIAL_ENV" (join "," $names)) }}
{{- include "agentevals.variable" (list "AGENTEVALS_CREDENTIAL_DIR" (ternary "/etc/agentevals/credentials" "" (not (empty .directorySecret)))) }}
{{- $secrets := list }}
{{- range .kubernetesSecrets }}
{{- $secrets = append $secrets (ternary . (printf "%s/%s" $root.Release.Namespace .) (contains "/" .)) }}
{{- end }}
{{- include "agentevals.variable" (list "AGENTEVALS_CREDENTIAL_SECRETS" (join "," $secrets)) }}
{{- end }}
{{- if $root.Values.codeEvaluators }}
{{- include "agentevals.variable" (list "AGENTEVALS_CODE_EVALUATORS_DIR" "/etc/agentevals/evaluators") }}
{{- end }}
{{- if $root.Values.fileSinks }}
{{- include "agentevals.variable" (list "AGENTEVALS_FILE_SINKS_DIR" "/var/lib/agentevals/sinks") }}
{{- end }}
{{- end }}

{{/* What only `serve` is told. */}}
{{- define "agentevals.env.serve" -}}
{{- with .Values.api }}
{{- include "agentevals.variable" (list "AGENTEVALS_HOST" .listenAddress) }}
{{- include "agentevals.variable" (list "AGENTEVALS_PORT" .port) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MAX_BODY_BYTES" .maxBodyBytes) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MAX_CONCURRENT_EVALUATIONS" .concurrentEvaluations) }}
{{- end }}
{{- with .Values.auth }}
{{- if .insecureNoAuth }}
{{- include "agentevals.variable" (list "AGENTEVALS_INSECURE_NO_AUTH" "true") }}
{{- else }}
{{- include "agentevals.variable" (list "AGENTEVALS_TOKENS_FILE" (printf "/etc/agentevals/tokens/%s" (include "agentevals.tokens.key" $))) }}
{{- end }}
{{- /* Also when empty: the program's default is for development. */}}
- name: AGENTEVALS_CORS_ORIGINS
  value: {{ join "," .corsOrigins | quote }}
{{- end }}
{{- with .Values.runs }}
{{- include "agentevals.variable" (list "AGENTEVALS_RUN_DEADLINE_S" .deadlineS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MAX_RUN_DEADLINE_S" .maxDeadlineS) }}
{{- include "agentevals.variable" (list "AGENTEVALS_MAX_RUN_ATTEMPTS" .maxAttempts) }}
{{- include "agentevals.variable" (list "AGENTEVALS_RUN_ATTEMPTS_LIMIT" .attemptsLimit) }}
{{- end }}
{{- end }}

{{- define "agentevals.tokens.secret" -}}
{{- .Values.auth.existingSecret.name | default (printf "%s-tokens" (include "agentevals.fullname" .)) }}
{{- end }}

{{- define "agentevals.tokens.key" -}}
{{- ternary .Values.auth.existingSecret.key "tokens" (not (empty .Values.auth.existingSecret.name)) }}
{{- end }}

{{/* The variables of a container, none twice: (list ENV EXTRA…). Of two, Kubernetes would silently take the last. */}}
{{- define "agentevals.env" -}}
{{- $env := first . | fromYamlArray }}
{{- range rest . }}
{{- $env = concat $env . }}
{{- end }}
{{- $seen := dict }}
{{- range $env }}
{{- if hasKey $seen .name }}
{{- fail (printf "%s is set twice; the chart sets it from a value of its own, or extraEnv names it twice" .name) }}
{{- end }}
{{- $_ := set $seen .name true }}
{{- end }}
{{- toYaml $env }}
{{- end }}
