//! The YAML that the scenarios apply, as users would write it.

/// A namespace that enforces Pod Security "restricted".
pub fn namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{pod-security.kubernetes.io/enforce: restricted, team: {name}}}\n"
    )
}

/// A pool over all GPU nodes.
pub fn pool(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: modelcache.dev/v1alpha1\nkind: NodeCachePool\nmetadata: {{name: {name}}}\nspec: {{gpu: NVIDIA, path: /var/lib/modelcache, capacity: 100Gi, minFree: 50Mi{more}}}\n"
    )
}

/// A cache with one per-node volume `models`.
pub fn cache(namespace: &str, name: &str, pool: &str, size: &str, sources: &[String], more: &str) -> String {
    let volumes = format!("[{{name: models, perNode: {{pool: {pool}, size: {size}}}}}]");
    cache_with(namespace, name, &volumes, sources, more)
}

/// A cache with these volumes, in YAML's flow style; `more` is lines of the spec.
pub fn cache_with(namespace: &str, name: &str, volumes: &str, sources: &[String], more: &str) -> String {
    let sources = if sources.is_empty() { String::new() } else { format!("  sources:\n{}", sources.join("")) };
    format!(
        "---\napiVersion: modelcache.dev/v1alpha1\nkind: ModelCache\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  volumes: {volumes}\n{sources}{more}"
    )
}

/// A Hugging Face source; `more` such as `, revision: v2`.
pub fn hugging_face(name: &str, endpoint: &str, repo: &str, more: &str) -> String {
    format!("  - {{name: {name}, huggingFace: {{repo: {repo}, endpoint: \"{endpoint}\"{more}}}}}\n")
}

/// An http source.
pub fn http(name: &str, url: &str, sha256: &str) -> String {
    format!("  - {{name: {name}, http: {{url: \"{url}\", sha256: \"{sha256}\"}}}}\n")
}

/// A Secret with a token.
pub fn secret(namespace: &str, name: &str, token: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {{token: {token}}}\n"
    )
}
