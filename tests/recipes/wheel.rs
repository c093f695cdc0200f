//! A package index of one small wheel that a real `pip` installs, in the place of the public one.

use crate::world::World;
use std::io::{Cursor, Write as _};

const NAME: &str = "six-1.17.0-py2.py3-none-any.whl";
/// The hashes in the pages.
const LOCKED: [&str; 2] = [
    "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
    "ff70335d468e7eb6ec65b95b99d3a2836546063f63acc5171de367e834932a81",
];

/// Serves the wheel, and returns what makes a page's YAML ask for it there.
pub fn stand_in(world: &World) -> Box<dyn Fn(String) -> String> {
    let sha256 = world.hub.put(NAME, wheel());
    let files = format!("{}/files", world.hub.url);
    world.hub.put("simple/six", format!("<a href=\"{files}/{NAME}#sha256={sha256}\">{NAME}</a>"));
    Box::new(move |text| {
        assert!(LOCKED.iter().all(|it| text.contains(it)), "the page's lock is another one");
        text.replace(LOCKED[0], &sha256).replace("pip:\n", &format!("pip:\n      endpoint: {files}/simple\n"))
    })
}

fn wheel() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [
        ("six.py", "PY3 = True\n"),
        ("six-1.17.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n"),
        (
            "six-1.17.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n",
        ),
        (
            "six-1.17.0.dist-info/RECORD",
            "six.py,,\nsix-1.17.0.dist-info/METADATA,,\nsix-1.17.0.dist-info/WHEEL,,\nsix-1.17.0.dist-info/RECORD,,\n",
        ),
    ] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}
