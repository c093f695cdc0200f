//! Presets, with a hub that lists what real repositories list.

use crate::bench::Bench;
use serde_json::json;

const BOTH: &str = "org/both=config.json:90,model-00001-of-00002.safetensors:1Mi,model-00002-of-00002.safetensors:1Mi,\
                    model.safetensors.index.json:300,pytorch_model.bin:2Mi,original/consolidated.00.pth:2Mi,onnx/model.onnx:1Mi";

#[test]
fn a_preset_takes_each_weight_once_and_leaves_no_tree_that_would_contradict() {
    let bench = Bench::new();
    bench.hub.repo(BOTH);
    bench.cache(&[bench.repo("x", "org/both", &json!({"preset": "VLLM"}))]);
    let ran = bench.prefetch();
    assert_eq!(ran.one()["evidence"]["files"], 4);
    assert!(ran.fetched() < 3 << 20, "{}", ran.fetched());
    assert!(!bench.published().iter().any(|path| path.contains("/trees")));
}

#[test]
fn a_preset_that_leaves_nothing_out_has_its_tree() {
    let bench = Bench::new();
    bench.hub.repo("org/plain=config.json:90,model.safetensors:1Mi,tokenizer.json:80");
    bench.cache(&[bench.repo("x", "org/plain", &json!({"preset": "Transformers"}))]);
    assert_eq!(bench.prefetch().one()["evidence"]["files"], 3);
    assert!(bench.published().iter().any(|path| path.contains("/trees/")));
}

#[test]
fn a_preset_and_the_patterns_of_the_spec_each_leave_out() {
    let bench = Bench::new();
    bench.hub.repo(BOTH);
    // Without the safetensors the older format is what is there.
    let more = json!({"preset": "Transformers", "exclude": ["*.safetensors"], "include": ["*.bin", "*.safetensors", "config.json"]});
    bench.cache(&[bench.repo("x", "org/both", &more)]);
    assert_eq!(bench.prefetch().one()["evidence"]["files"], 2);
    let commit = bench.main("org/both");
    assert!(bench.snapshot("org/both", &commit, "pytorch_model.bin").exists());
}

#[test]
fn a_preset_for_what_a_repository_does_not_have_says_so() {
    let bench = Bench::new();
    bench.hub.repo("org/quantised=config.json:90,model.Q4_K_M.gguf:1Mi");
    bench.cache(&[bench.repo("x", "org/quantised", &json!({"preset": "Transformers"}))]);
    bench.run(&["prefetch"]).failed(32, "NoFiles", &["`preset: Transformers` leaves no weights", "model.Q4_K_M.gguf"]);
    assert_eq!(bench.published(), Vec::<String>::new());
}
