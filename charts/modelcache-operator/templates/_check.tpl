{{/*
What no schema can say: values that fit together. Nothing is printed; what does not fit ends the rendering and says what to do.
*/}}
{{- define "modelcache.check" -}}
{{- $own := .Release.Namespace -}}
{{- $nodeJobs := .Values.nodeJobs.namespace -}}
{{- $served := .Values.watch.namespaces -}}
{{- if eq $own $nodeJobs -}}
{{ fail (printf "nodeJobs.namespace: %s is the release's own namespace; the privileged Jobs need one of their own" $own) }}
{{- end -}}
{{- range list $own $nodeJobs -}}
{{- if has . $served -}}
{{ fail (printf "watch.namespaces: %s is the operator's own or nodeJobs.namespace, where no cache is served: caches have namespaces of their own" .) }}
{{- end -}}
{{- end -}}
{{- range $name, $spec := .Values.pools -}}
{{- $admitted := $spec.namespaces | default dict -}}
{{- if has $own ($admitted.names | default list) -}}
{{ fail (printf "pools.%s.namespaces.names: no cache is served in %s, the operator's own namespace" $name $own) }}
{{- end -}}
{{- if and $served $admitted.selector -}}
{{ fail (printf "pools.%s.namespaces.selector: with watch.namespaces a pool admits some of these by name, since nobody here knows what others reserve" $name) }}
{{- end -}}
{{- range $admitted.names -}}
{{- if and $served (not (has . $served)) -}}
{{ fail (printf "pools.%s.namespaces.names: %s is not in watch.namespaces" $name .) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.extraObjects -}}
{{- $text := tpl (kindIs "string" . | ternary . (toYaml .)) $ -}}
{{- range splitList "\n---" (printf "\n%s" $text) -}}
{{- $object := fromYaml . -}}
{{- $kind := $object.kind | default "" -}}
{{- if has $kind (list "ModelCache" "ModelCacheBackup" "ModelCacheRestore") -}}
{{- $metadata := $object.metadata | default dict -}}
{{- $namespace := $metadata.namespace | default $own -}}
{{- if has $namespace (list $own $nodeJobs) -}}
{{ fail (printf "extraObjects: the %s %s is in %s, the operator's own namespace or nodeJobs.namespace, where no cache is served: give it metadata.namespace" $kind ($metadata.name | default "") $namespace) }}
{{- end -}}
{{- if and $served (not (has $namespace $served)) -}}
{{ fail (printf "extraObjects: the %s %s is in %s, which is not in watch.namespaces" $kind ($metadata.name | default "") $namespace) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
