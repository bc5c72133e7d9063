{{- define "ferromcp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "ferromcp.fullname" -}}
{{- $name := include "ferromcp.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.instance" -}}
app.kubernetes.io/name: {{ include "ferromcp.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* What Deployment, Service and the rest select: the test pod is not among it. */}}
{{- define "ferromcp.selector" -}}
{{ include "ferromcp.instance" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "ferromcp.labels" -}}
{{ include "ferromcp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "ferromcp.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ferromcp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.configMap" -}}
{{- default (include "ferromcp.fullname" .) .Values.existingConfigMap.name -}}
{{- end -}}

{{/* The Secret's name; empty if there is none. */}}
{{- define "ferromcp.secret" -}}
{{- if .Values.secret.existing -}}
{{- .Values.secret.existing -}}
{{- else if .Values.secret.values -}}
{{- include "ferromcp.fullname" . -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.config" -}}
{{- default (.Files.Get "ferromcp.yaml") .Values.config -}}
{{- end -}}

{{/* Most pods at a time, an upgrade aside. */}}
{{- define "ferromcp.most" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled -}}
{{- end -}}

{{/* The port of an address that a pod can be reached at. Takes a dict of key and address. */}}
{{- define "ferromcp.port" -}}
{{- $port := regexFind "^(0\\.0\\.0\\.0|\\[::\\])?:[1-9][0-9]{0,4}$" .address | splitList ":" | last -}}
{{- if or (not $port) (gt (int $port) 65535) -}}
{{- fail (printf "config: %s is `%s`, but a pod is reached at an address that it does not know before, and at a fixed port: write 0.0.0.0:8080, or [::]:8080 with IPv6" .key .address) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{/* A duration of the configuration in whole seconds, rounded up. */}}
{{- define "ferromcp.seconds" -}}
{{- $text := toString . -}}
{{- $unit := regexFind "(ms|s|m|h|d)$" $text -}}
{{- $number := trimSuffix $unit $text -}}
{{- if not (and $unit (regexMatch "^[0-9]{1,9}$" $number)) -}}
{{- fail (printf "config: supervisor.drain is `%s`: the chart compares it with terminationGracePeriodSeconds, so write it out, as in 30s" $text) -}}
{{- end -}}
{{- if eq $unit "ms" -}}
{{- div (add (int64 $number) 999) 1000 -}}
{{- else -}}
{{- mul (int64 $number) (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) -}}
{{- end -}}
{{- end -}}

{{/* What the templates want to know of the configuration, as YAML. */}}
{{- define "ferromcp.facts" -}}
{{- if .Values.existingConfigMap.name -}}
{{- with .Values.existingConfigMap }}
http: {{ .http }}
grpc: {{ .grpc }}
scheme: {{ ternary "HTTPS" "HTTP" .tls }}
certificates: false
drain: {{ .drain }}
admin: false
audit: false
open: false
{{- end }}
{{- else -}}
{{- $config := include "ferromcp.config" . | fromYaml -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "config: this is no YAML mapping: %s. `ferromcp check FILE` shows the place" $config.Error) -}}
{{- end -}}
{{- $block := dict -}}
{{- range $key := list "listen" "supervisor" "tenants" "auth" "audit" -}}
{{- $value := get $config $key | default dict -}}
{{- if not (kindIs "map" $value) -}}
{{- fail (printf "config: %s is no mapping. `ferromcp check FILE` shows the place" $key) -}}
{{- end -}}
{{- $_ := set $block $key $value -}}
{{- end -}}
{{- $tls := $block.listen.tls | default dict -}}
{{- if not (kindIs "map" $tls) -}}
{{- fail "config: listen.tls is no mapping. `ferromcp check FILE` shows the place" -}}
{{- end -}}
{{- $certificates := and $tls.client_ca (ne (toString $tls.client_auth) "optional") -}}
{{- $guarded := or $certificates $block.auth.jwt $config.admin (eq (toString $block.auth.anonymous) "refuse") -}}
{{- range $_, $tenant := $block.tenants -}}
{{- if and (kindIs "map" $tenant) (or $tenant.keys $tenant.certificates) -}}
{{- $guarded = true -}}
{{- end -}}
{{- end -}}
{{- if eq (toString $block.auth.anonymous) "local" -}}
{{- $guarded = $certificates -}}
{{- end }}
http: {{ include "ferromcp.port" (dict "key" "listen.http" "address" (toString (default "127.0.0.1:8080" $block.listen.http))) }}
grpc: {{ if $block.listen.grpc }}{{ include "ferromcp.port" (dict "key" "listen.grpc" "address" (toString $block.listen.grpc)) }}{{ else }}0{{ end }}
scheme: {{ ternary "HTTPS" "HTTP" (not (empty $tls)) }}
certificates: {{ not (empty $certificates) }}
drain: {{ include "ferromcp.seconds" (default "30s" $block.supervisor.drain) }}
admin: {{ not (empty $config.admin) }}
audit: {{ not (empty $block.audit.file) }}
open: {{ empty $guarded }}
{{- end -}}
{{- end -}}
