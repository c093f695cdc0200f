//! docs/recipes/image-generator.md: a cache, its backup, and all of it back from the backup alone.

use crate::shell::Reader;
use crate::world::World;

const REPO: &str = "stable-diffusion-v1-5/stable-diffusion-v1-5";

#[test]
fn the_image_generators_volumes_are_filled_backed_up_and_restored() {
    let world = World::new();
    let mut reader = Reader::of(&world, "docs/recipes/image-generator.md");
    reader.next();
    let model = world.snapshot("volumes/huggingface", REPO);
    assert!(model.join("unet/diffusion_pytorch_model.safetensors").exists());
    assert!(!model.join("v1-5-pruned.ckpt").exists(), "one format of the weights is enough");
    let said = reader.next();
    assert!(said.contains("stable-diffusion") && said.contains("complete"), "{said}");

    world.write("volumes/app-cache/prompt.txt", "a cat");
    let said = reader.next();
    assert!(said.contains("studio/generator") || said.contains("generator"), "{said}");
    // The weights are not in the backup, what the application wrote is.
    let kept: u64 =
        world.below("backups").iter().map(|it| world.path("backups").join(it).metadata().unwrap().len()).sum();
    assert!(kept < 200 << 10, "{kept} bytes");

    reader.next();
    assert_eq!(std::fs::read_to_string(world.path("volumes/app-cache/prompt.txt")).unwrap(), "a cat");
    assert!(world.snapshot("volumes/huggingface", REPO).join("unet/diffusion_pytorch_model.safetensors").exists());
    assert!(reader.at_its_end());
}
