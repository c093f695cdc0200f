//! docs/recipes/dgenerate.md: the hub's models offline, and a web cache that expires.

use crate::shell::Reader;
use crate::world::World;

#[test]
fn dgenerates_web_cache_expires_and_its_models_stay() {
    let world = World::new();
    let mut reader = Reader::of(&world, "docs/recipes/dgenerate.md");
    reader.next();
    let said = reader.next();
    assert!(said.contains("models--stabilityai--stable-diffusion-xl-base-1.0"), "{said}");
    world.write("volumes/home/web/yesterday.png", "png");
    world.age("volumes/home/web/yesterday.png", 1);
    world.write("volumes/home/web/now.png", "png");
    world.write("volumes/home/diffusers_converted/one/model.safetensors", "weights");
    reader.next();
    assert_eq!(world.below("volumes/home"), ["diffusers_converted/one/model.safetensors", "web/now.png"]);
    let model = world.snapshot("volumes/models/huggingface", "stabilityai/stable-diffusion-xl-base-1.0");
    assert!(model.join("unet/diffusion_pytorch_model.safetensors").exists());
    assert!(reader.at_its_end());
}
