//! docs/recipes/dev-cache.md: a Whisper model where the package looks for it, and wheels beside it.

use crate::shell::Reader;
use crate::wheel;
use crate::world::World;

#[test]
fn the_dev_container_finds_whisper_and_its_wheels() {
    let world = World::new();
    let model = vec![7; 200 << 10];
    let sha256 = world.hub.put("x", model.clone());
    world.hub.put(&format!("main/whisper/models/{sha256}/base.pt"), model);
    let (wheels, files) = (wheel::stand_in(&world), format!("{}/files", world.hub.url));
    let mut reader = Reader::of(&world, "docs/recipes/dev-cache.md");
    reader.edit = Box::new(move |text| {
        let model = format!("whisper: {{model: base, endpoint: \"{files}\", sha256: {sha256}}}");
        let edited = wheels(text).replace("whisper: {model: base}", &model);
        assert!(edited.contains("endpoint: \"http"), "{edited}");
        edited
    });
    let said = reader.next();
    assert!(said.contains("base.pt") && said.contains("six-1.17.0-py2.py3-none-any.whl"), "{said}");
    let environment: serde_json::Value = serde_json::from_str(&reader.next()).unwrap();
    assert_eq!(environment["XDG_CACHE_HOME"], "/home/vscode/.cache");
    assert_eq!(environment["PIP_FIND_LINKS"], "/packages/wheels");
    reader.next();
    assert!(reader.at_its_end());
}
