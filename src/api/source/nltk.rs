//! Which NLTK data is wanted?

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Data packages of NLTK, laid out as `nltk.data` looks for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.packages) && self.packages.size() > 0) || (has(self.collections) && self.collections.size() > 0)")
        .message("`nltk` must name at least one of `packages` or `collections`")
)]
pub struct Nltk {
    /// Packages by their identifier, as `nltk.download` takes them: `punkt_tab`, `stopwords`, `wordnet` and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(p, p.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$') && !p.contains('..'))")
        .message("`packages` must be identifiers: letters, digits, dots, dashes and underscores"))]
    pub packages: Vec<String>,

    /// Collections by their identifier, such as `popular` or `book`: all packages of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    #[x_kube(validation = Rule::new("self.all(p, p.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$') && !p.contains('..'))")
        .message("`collections` must be identifiers: letters, digits, dots, dashes and underscores"))]
    pub collections: Vec<String>,

    /// Base URL of the data: it serves `index.xml` and `packages/<category>/<file>`. The official data when left out, which is
    /// `https://raw.githubusercontent.com/nltk/nltk_data/gh-pages`; with a commit in place of `gh-pages` it never moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^[:space:]?#@]+$') && isURL(self)").message("`endpoint` must be an http or https URL without user name, password, query and fragment"))]
    pub endpoint: Option<String>,

    /// The data directory on the volume, relative to its root; `nltk_data` when left out, `.` for the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("self == '.' || (!self.startsWith('/') && !self.split('/').exists(p, p == '..' || p == '.' || p == '' || p == '.modelcache'))")
        .message("`path` must be `.` or a relative path without `.`, `..`, empty parts or `.modelcache`"))]
    pub path: Option<String>,
}

impl Nltk {
    /// The endpoint in effect, without a slash at its end. The default is the one of NLTK's own downloader
    /// (`DEFAULT_URL` in `nltk/downloader.py` 3.10.4).
    pub fn effective_endpoint(&self) -> &str {
        self.endpoint
            .as_deref()
            .unwrap_or("https://raw.githubusercontent.com/nltk/nltk_data/gh-pages")
            .trim_end_matches('/')
    }

    /// The data directory in effect, relative to the volume's root.
    pub fn effective_path(&self) -> &str {
        self.path.as_deref().unwrap_or("nltk_data")
    }

    /// What ends up where, wherever it comes from.
    pub fn identity(&self) -> Value {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        json!(["nltk", sorted(&self.packages), sorted(&self.collections), self.effective_path()])
    }
}
