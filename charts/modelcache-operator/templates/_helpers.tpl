{{/* Labels of every object. */}}
{{- define "modelcache.labels" -}}
{{- with .Values.commonLabels }}{{ toYaml . }}
{{ end -}}
app.kubernetes.io/name: modelcache-operator
app.kubernetes.io/part-of: modelcache
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{- end }}

{{/* What the operator's pods are found by. The same as in config/manager, so that a Deployment can be taken over. */}}
{{- define "modelcache.selector" -}}
app.kubernetes.io/name: modelcache-operator
app.kubernetes.io/component: operator
{{- end }}

{{/* The operator's image: by digest where there is one. */}}
{{- define "modelcache.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.global.imageRegistry | default .Values.image.registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" $name .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{/* The image that the operator's Jobs run, and that the policies hold them to. */}}
{{- define "modelcache.jobImage" -}}
{{- .Values.jobs.image | default (include "modelcache.image" .) -}}
{{- end }}

{{/* Whether labelled pods are given their cache: "true" or nothing. MutatingAdmissionPolicy is there from Kubernetes 1.36 on. */}}
{{- define "modelcache.injects" -}}
{{- $mode := .Values.pods.inject -}}
{{- if or (eq $mode "Always") (and (eq $mode "Auto") (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version)) -}}
true
{{- end -}}
{{- end }}

{{/*
Documents of a file that is a copy of one in config/ (tests/chart proves it), with this release's namespaces, image and
labels. As text, and not read and written anew: every number and every expression stays as it is.
*/}}
{{- define "modelcache.documents" -}}
{{- $context := .context -}}
{{- $labels := include "modelcache.labels" $context | indent 4 -}}
{{- $text := .text | replace "modelcache-system" $context.Release.Namespace | replace "modelcache-node-jobs" $context.Values.nodeJobs.namespace -}}
{{- $text = regexReplaceAllLiteral "(?m)^  agentImage: .*$" $text (printf "  agentImage: %s" (include "modelcache.jobImage" $context | quote)) -}}
{{- $text = regexReplaceAllLiteral "\"'localhost/modelcache:dev'\"" $text (printf "\"'%s'\"" (include "modelcache.jobImage" $context)) -}}
{{- $common := $context.Values.jobs.podTemplate -}}
{{- $user := dig "securityContext" "runAsUser" 65532 $common | int64 -}}
{{- $text = replace "orValue(65532)" (printf "orValue(%d)" $user) $text -}}
{{- $pull := list -}}
{{- range $common.imagePullSecrets | default list }}{{ $pull = append $pull (printf "'%s'" .name) }}{{ end -}}
{{- $text = replace "name: commonPullSecrets\n    expression: \"[]\"" (printf "name: commonPullSecrets\n    expression: \"[%s]\"" (join ", " $pull)) $text -}}
{{- $scoped := $context.Values.watch.namespaces -}}
{{- range $document := splitList "\n---\n" $text }}
{{- if $scoped }}{{ $document = include "modelcache.scoped" (dict "context" $context "text" $document) }}{{ end }}
---
{{- if regexMatch "(?m)^  labels:$" $document }}
{{ regexReplaceAllLiteral "(?m)^  labels:$" $document (printf "  labels:\n%s" $labels) | trim }}
{{- else }}
{{ regexReplaceAllLiteral "(?m)^metadata:$" $document (printf "metadata:\n  labels:\n%s" $labels) | trim }}
{{- end }}
{{- end }}
{{- end }}

{{/* What ends the name of an object outside namespaces where only some are served: each release has its own. */}}
{{- define "modelcache.suffix" -}}
{{- with .Values.watch.namespaces }}.{{ $.Release.Namespace }}{{ end -}}
{{- end }}

{{/*
A document where only some namespaces are served. Roles and policies of ours lie outside namespaces: each release has its own,
named by its namespace. Policies about pods and caches look nowhere else. Labels of nodes may be set by the operators of all
releases: scoped-node-labels.yaml says which by which.
*/}}
{{- define "modelcache.scoped" -}}
{{- $text := .text -}}
{{- $names := .context.Values.watch.namespaces -}}
{{- $suffix := include "modelcache.suffix" .context -}}
{{- $text = regexReplaceAll "(?m)^  name: modelcache-operator-node-labels$" $text (printf "${0}%s" $suffix) -}}
{{- $text = replace (printf "expression: request.userInfo.username != 'system:serviceaccount:%s:modelcache-operator'" .context.Release.Namespace) "expression: \"!request.userInfo.username.matches('^system:serviceaccount:[^:]+:modelcache-operator$')\"" $text -}}
{{- if regexMatch "(?m)^kind: (ValidatingAdmission|MutatingAdmission)Policy" $text -}}
{{- $text = regexReplaceAll "(?m)^  (name|policyName): (modelcache-[a-z-]+)$" $text (printf "  ${1}: ${2}%s" $suffix) -}}
{{- $text = regexReplaceAll "(?m)^  (policyName: modelcache-(pods|delete-guard)\\..*)$" $text (printf "  ${1}\n  matchResources:\n    namespaceSelector:\n      matchExpressions:\n      - {key: kubernetes.io/metadata.name, operator: In, values: %s}" (toJson $names)) -}}
{{- end -}}
{{ $text }}
{{- end }}

{{/* What every cache's podTemplate is laid over, as JSON; empty where nothing is said. */}}
{{- define "modelcache.podTemplate" -}}
{{- $template := deepCopy .Values.jobs.podTemplate -}}
{{- $env := $template.env | default list -}}
{{- $proxy := .Values.jobs.proxy -}}
{{- range $pair := list (list "HTTP_PROXY" $proxy.httpProxy) (list "HTTPS_PROXY" $proxy.httpsProxy) (list "NO_PROXY" $proxy.noProxy) -}}
{{- if last $pair }}{{ $env = append $env (dict "name" (first $pair) "value" (last $pair)) }}{{ end -}}
{{- end -}}
{{- with $env }}{{ $_ := set $template "env" . }}{{ end -}}
{{- with $template }}{{ toJson . }}{{ end -}}
{{- end }}

{{/* Whether an object of the Prometheus operator is made: "true" or nothing. */}}
{{- define "modelcache.monitoring" -}}
{{- $known := .context.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind) -}}
{{- $mode := .context.Values.metrics.renderMode -}}
{{- if or $known (eq $mode "alwaysRender") -}}
true
{{- else if eq $mode "failIfMissing" -}}
{{ fail (printf "the API server does not know the kind %s: install the Prometheus operator's CustomResourceDefinitions, or set metrics.renderMode" .kind) }}
{{- end -}}
{{- end }}
