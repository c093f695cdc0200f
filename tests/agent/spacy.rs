//! spaCy pipelines, from a wheel to what `spacy.load` takes.

use crate::bench::{Bench, paths};
use crate::unpacked::zip;
use serde_json::{Value, json};

const NAME: &str = "xx_tiny-1.2.3";

/// A wheel as spaCy's own are made: a package that imports the pipeline, the pipeline, and the wheel's papers.
fn wheel(config: &str) -> Vec<u8> {
    zip(&[
        ("xx_tiny/__init__.py", b"from spacy.util import load_model_from_init_py"),
        ("xx_tiny/meta.json", b"{}"),
        ("xx_tiny/xx_tiny-1.2.3/config.cfg", config.as_bytes()),
        ("xx_tiny/xx_tiny-1.2.3/vocab/strings.json", b"[]"),
        ("xx_tiny-1.2.3.dist-info/RECORD", b""),
    ])
}

fn source(bench: &Bench, more: &Value) -> Value {
    let mut spacy = json!({"model": "xx_tiny", "version": "1.2.3", "endpoint": format!("{}/files", bench.hub.url)});
    spacy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"name": "tiny", "spacy": spacy})
}

#[test]
fn only_the_pipeline_comes_out_of_the_wheel_and_the_next_run_asks_nobody() {
    let bench = Bench::new();
    bench.hub.put(&format!("{NAME}/{NAME}-py3-none-any.whl"), wheel("[nlp]"));
    bench.cache(&[source(&bench, &json!({}))]);
    bench.prefetch();
    let found = paths(&bench.volume().join("spacy"));
    let pipeline = "xx_tiny/xx_tiny-1.2.3";
    let expected = ["", "/config.cfg", "/vocab", "/vocab/strings.json"].map(|it| format!("{pipeline}{it}"));
    assert_eq!(found.iter().filter(|it| it.starts_with(pipeline)).cloned().collect::<Vec<_>>(), expected);
    assert_eq!(found.len(), 1 + expected.len(), "{found:?}");
    let requests = bench.requests();
    bench.prefetch();
    assert_eq!(bench.requests(), requests);
}

#[test]
fn a_wheel_with_another_hash_is_not_taken_and_one_without_the_pipeline_says_so() {
    let bench = Bench::new();
    let file = format!("{NAME}/{NAME}-py3-none-any.whl");
    bench.hub.put(&file, wheel("[nlp]"));
    bench.cache(&[source(&bench, &json!({"sha256": "0".repeat(64)}))]);
    bench.run(&["prefetch"]).failed(30, "ChecksumMismatch", &["source `tiny`"]);
    bench.hub.put(&file, zip(&[("xx_tiny/xx_tiny-1.2.2/config.cfg", b"")]));
    bench.cache(&[source(&bench, &json!({}))]);
    bench.run(&["prefetch", "--refresh"]).failed(32, "NoFiles", &["xx_tiny/xx_tiny-1.2.3"]);
    assert!(bench.published().iter().all(|it| !it.starts_with("spacy/")));
}
