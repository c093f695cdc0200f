//! docs/quick-start.md, as far as it needs no cluster.

use crate::shell::Reader;
use crate::world::World;

#[test]
fn the_quick_start_fetches_a_model_and_says_where_clients_find_it() {
    let world = World::new();
    let mut reader = Reader::of(&world, "docs/quick-start.md");
    let said = reader.next();
    assert!(said.contains("complete"), "{said}");
    assert!(world.snapshot("volumes/models/huggingface", "openai-community/gpt2").join("model.safetensors").exists());
    let said = reader.next();
    assert_eq!(said.trim(), format!("{} 1", world.path("volumes/models/huggingface").display()));
    assert!(reader.at_its_end());
}
