//! Does NLTK read what was laid out, with the check of owners and modes that it has since 3.10?

use crate::hub::Hub;
use crate::{prefetched, python, spec};
use modelcache::agent::layout::environment::environment;
use serde_json::json;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// Small packages in the form of the real ones, made by Python, as zip files.
const PACKAGES: &str = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/stopwords.zip", "w") as it:
    it.writestr("stopwords/english", "the\nof\nand\n")
    it.writestr("stopwords/README", "x")
with zipfile.ZipFile(sys.argv[1] + "/punkt_tab.zip", "w") as it:
    for name, text in {"collocations.tab": "", "sent_starters.txt": "", "abbrev_types.txt": "dr\n", "ortho_context.tab": ""}.items():
        it.writestr("punkt_tab/english/" + name, text)
"#;

fn serve(hub: &Hub, directory: &Path) {
    let made = Command::new("python3").args(["-c", PACKAGES]).arg(directory).status().unwrap();
    assert!(made.success());
    let mut packages = String::new();
    for (id, category) in [("stopwords", "corpora"), ("punkt_tab", "tokenizers")] {
        let bytes = std::fs::read(directory.join(format!("{id}.zip"))).unwrap();
        let size = bytes.len();
        let sha256 = hub.put(&format!("nltk/packages/{category}/{id}.zip"), bytes);
        let package = format!(
            "<package id=\"{id}\" subdir=\"{category}\" size=\"{size}\" unzipped_size=\"{size}\" unzip=\"1\" checksum=\"x\" \
             sha256_checksum=\"{sha256}\" url=\"https://elsewhere.example/{category}/{id}.zip\"/>"
        );
        packages.push_str(&package);
    }
    hub.put("nltk/index.xml", format!("<nltk_data><packages>{packages}</packages><collections/></nltk_data>"));
}

#[test]
fn nltk_reads_the_data_as_another_user_and_refuses_what_a_group_may_write() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    serve(&hub, directory.path());
    let nltk = json!({"packages": ["stopwords", "punkt_tab"], "endpoint": format!("{}/files/nltk", hub.url)});
    let spec = prefetched(directory.path(), &spec(directory.path(), &[json!({"name": "words", "nltk": nltk})]));
    let python = python(directory.path());
    let run = |expected: &str| {
        let packages = ["nltk==3.10.4".to_owned()];
        let said = python.run(&packages, include_str!("nltk.py"), &environment(&spec), &json!(expected));
        assert!(said.ends_with(&format!("nltk: {expected}\n")), "{said}");
    };
    run("found");

    // What a pod's fsGroup does to a volume that it may write to, and what another owner than reader or root does.
    let data = directory.path().join("volumes/models/nltk_data");
    std::fs::set_permissions(data.join("corpora"), Permissions::from_mode(0o2775)).unwrap();
    run("refused");
    std::fs::set_permissions(data.join("corpora"), Permissions::from_mode(0o755)).unwrap();
    run("found");
    std::fs::set_permissions(data.join("corpora/stopwords.zip"), Permissions::from_mode(0o664)).unwrap();
    run("refused");
    std::fs::set_permissions(data.join("corpora/stopwords.zip"), Permissions::from_mode(0o644)).unwrap();
    chown(data.join("corpora/stopwords.zip"), Some(65532), None).unwrap();
    run("refused");
}
