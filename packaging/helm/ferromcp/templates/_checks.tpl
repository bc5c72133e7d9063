{{/* What the schema cannot see: values that do not go together. Each message says what to do. */}}
{{- define "ferromcp.checks" -}}
{{- $facts := include "ferromcp.facts" . | fromYaml -}}
{{- if regexMatch "^[0-9]" (include "ferromcp.fullname" .) -}}
{{- fail (printf "a Service cannot be called %s, because it begins with a digit: set fullnameOverride" (include "ferromcp.fullname" .)) -}}
{{- end -}}
{{- include "ferromcp.checkConfig" (list . $facts) -}}
{{- include "ferromcp.checkSecret" . -}}
{{- include "ferromcp.checkReplicas" (list . $facts) -}}
{{- include "ferromcp.checkPod" (list . $facts) -}}
{{- end -}}

{{- define "ferromcp.checkConfig" -}}
{{- $facts := last . -}}
{{- with (first .).Values -}}
{{- if and .existingConfigMap.name (or .config .files) -}}
{{- fail "config and files have no effect with existingConfigMap.name: leave out the one or the other" -}}
{{- end -}}
{{- if and $facts.open (not .insecureNoAuth) -}}
{{- fail "config: whoever reaches the pod could call every tool. Give tenants keys (`ferromcp keys new TENANT`) or client certificates, or set auth.jwt; if something in front of it asks for credentials, set insecureNoAuth: true" -}}
{{- end -}}
{{- if and .insecureNoAuth (not $facts.open) (not .existingConfigMap.name) -}}
{{- fail "insecureNoAuth has no effect, because the configuration asks callers for a credential: leave it out" -}}
{{- end -}}
{{- if eq (int $facts.http) (int $facts.grpc) -}}
{{- fail (printf "HTTP and gRPC both listen on port %d: give them two" (int $facts.http)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.checkSecret" -}}
{{- $secret := .Values.secret -}}
{{- if and $secret.existing $secret.values -}}
{{- fail "secret.values has no effect with secret.existing: leave out the one or the other" -}}
{{- end -}}
{{- if and $secret.env (not $secret.existing) (not $secret.values) -}}
{{- fail "secret.env has no effect without secret.values or secret.existing" -}}
{{- end -}}
{{- if $secret.env -}}
{{- range $name, $_ := $secret.values -}}
{{- if not (regexMatch "^[A-Za-z_][A-Za-z0-9_]*$" $name) -}}
{{- fail (printf "secret.values: `%s` is no name of an environment variable, which secret.env wants: write letters, digits and _" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with index $secret.values "key-hash" -}}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}( until .+)?$" .) -}}
{{- fail "secret.values.key-hash is not the hash of a key: `ferromcp keys new main` prints the key, which the client keeps, and below it the line sha256:... for here" -}}
{{- end -}}
{{- end -}}
{{- if not (or $secret.existing .Values.existingConfigMap.name) -}}
{{- range regexFindAll "\\$\\{file:/run/secrets/ferromcp/[^}]*\\}" (include "ferromcp.config" .) -1 -}}
{{- $name := trimSuffix "}" . | trimPrefix "${file:/run/secrets/ferromcp/" -}}
{{- if not (hasKey $secret.values $name) -}}
{{- fail (printf "the configuration wants the file %s in /run/secrets/ferromcp, and there is none: set secret.values.%s (for key-hash: the sha256 line of `ferromcp keys new main`), or secret.existing to the name of a Secret that has it" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.checkReplicas" -}}
{{- $facts := last . -}}
{{- $most := int (include "ferromcp.most" (first .)) -}}
{{- with (first .).Values -}}
{{- if and .persistence.enabled (gt $most 1) -}}
{{- fail (printf "persistence is for one pod, because an audit log and a store of tenants have one writer, and there would be up to %d: set replicas: 1 and autoscaling.enabled: false, or leave persistence out and send records away (audit.otlp, audit.stdout)" $most) -}}
{{- end -}}
{{- if and $facts.admin (gt $most 1) -}}
{{- fail (printf "config: admin keeps its tenants in one pod, and there would be up to %d, which would not know them: set replicas: 1 and autoscaling.enabled: false, or put the tenants into the configuration" $most) -}}
{{- end -}}
{{- with .autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- if and .autoscaling.enabled (not (dig "requests" "cpu" "" .resources)) -}}
{{- fail "autoscaling measures against resources.requests.cpu: set it" -}}
{{- end -}}
{{- if and .podDisruptionBudget.enabled (has (toString .podDisruptionBudget.maxUnavailable) (list "0" "0%")) -}}
{{- fail "podDisruptionBudget.maxUnavailable of 0 would keep nodes from ever being drained: set 1 or more" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ferromcp.checkPod" -}}
{{- $facts := last . -}}
{{- with (first .).Values -}}
{{- $least := add (int64 $facts.drain) (int64 .preStopSleepSeconds) -}}
{{- if le (int64 .terminationGracePeriodSeconds) $least -}}
{{- fail (printf "terminationGracePeriodSeconds is %d, so calls in flight would be cut off: make it more than supervisor.drain and preStopSleepSeconds together, which are %d" (int64 .terminationGracePeriodSeconds) $least) -}}
{{- end -}}
{{- if and $facts.certificates (not .probes.command) -}}
{{- fail "config: listen.tls wants a client certificate of everybody, and kubelet has none for its probes: set client_auth: optional, or probes.command" -}}
{{- end -}}
{{- if and .ingress.enabled (not .ingress.host) -}}
{{- fail "ingress.host is empty: set the name that clients use" -}}
{{- end -}}
{{- if and .service.externalTrafficPolicy (eq .service.type "ClusterIP") -}}
{{- fail "service.externalTrafficPolicy has no effect with service.type ClusterIP: leave it out" -}}
{{- end -}}
{{- if and $facts.grpc (eq (int .service.port) (int .service.grpcPort)) -}}
{{- fail "service.port and service.grpcPort are the same: give them two" -}}
{{- end -}}
{{- end -}}
{{- end -}}
