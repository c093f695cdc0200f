//! docs/recipes/all-in-one.md: models, backup, logs and images, the trash, export and import.

use crate::shell::Reader;
use crate::world::World;

#[test]
fn the_all_in_one_application_is_warmed_backed_up_cleaned_and_carried_to_another_machine() {
    let world = World::new();
    let mut reader = Reader::of(&world, "docs/recipes/all-in-one.md");
    let said = reader.next();
    for name in ["images", "models", "prompts", "scene", "supervisor", "app"] {
        assert!(said.lines().any(|it| it == name), "{name}: {said}");
    }
    for repo in ["Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers", "ezb/NSFW-Prompt-Detector"] {
        assert!(world.snapshot("volumes/huggingface", repo).is_dir(), "{repo}");
    }

    // What the application leaves in a month.
    for number in 0..30 {
        let name = format!("volumes/assets/images/old-{number}.png");
        world.write(&name, "png");
        world.age(&name, if number < 5 { 40 } else { 1 });
    }
    world.write("volumes/trellis/prompts/cat.txt", "a cat");
    world.write("volumes/logs/app/app.log", "line\n");
    world.write("volumes/logs/app/old.log", "line\n");
    world.age("volumes/logs/app/old.log", 8);

    reader.next();
    assert!(world.below("nas").iter().any(|it| it.starts_with("studio/studio/snapshots/")), "{:?}", world.below("nas"));
    reader.next();
    assert!(!world.there("volumes/assets/images/old-0.png"), "older than 30 days");
    assert!(world.there("volumes/assets/images/old-5.png"));
    assert!(!world.there("volumes/logs/app/old.log"), "older than 7 days");
    assert!(world.there("volumes/logs/app/app.log"));

    let said = reader.next();
    assert!(said.contains("old-images"), "{said}");
    assert!(world.there("volumes/assets/images/old-0.png"), "out of the trash");
    assert_eq!(std::fs::read_to_string(world.path("volumes/trellis/prompts/cat.txt")).unwrap(), "a cat");

    assert!(reader.next().contains(".tar.zst"));
    reader.next();
    assert_eq!(std::fs::read_to_string(world.path("new/trellis/prompts/cat.txt")).unwrap(), "a cat");
    assert!(world.there("new/assets/images/old-5.png"));
    assert!(reader.at_its_end());
}
