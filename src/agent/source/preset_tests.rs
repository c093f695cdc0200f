//! Presets over listings of real repositories, as the hub shows them in 2026 (some shards left out).

use super::*;

const LLAMA: &[&str] = &[
    ".gitattributes",
    "LICENSE",
    "README.md",
    "USE_POLICY.md",
    "config.json",
    "generation_config.json",
    "model-00001-of-00004.safetensors",
    "model-00004-of-00004.safetensors",
    "model.safetensors.index.json",
    "original/consolidated.00.pth",
    "original/params.json",
    "original/tokenizer.model",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// mistralai/Mistral-7B-Instruct-v0.3: both forms at the top.
const MISTRAL: &[&str] = &[
    "config.json",
    "consolidated.safetensors",
    "model-00001-of-00003.safetensors",
    "model.safetensors.index.json",
    "params.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer.model.v3",
];

/// mistralai/Pixtral-12B-2409: the vendor's form is all there is.
const PIXTRAL: &[&str] = &["README.md", "consolidated.safetensors", "params.json", "tekken.json"];

const BERT: &[&str] = &[
    "README.md",
    "config.json",
    "coreml/fill-mask/float32_model.mlpackage/Data/com.apple.CoreML/model.mlmodel",
    "coreml/fill-mask/float32_model.mlpackage/Manifest.json",
    "flax_model.msgpack",
    "model.onnx",
    "model.safetensors",
    "pytorch_model.bin",
    "rust_model.ot",
    "tf_model.h5",
    "tokenizer.json",
    "vocab.txt",
];

/// sentence-transformers: a part of the model in a directory, without safetensors there.
const SENTENCE: &[&str] = &[
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/pytorch_model.bin",
    "config.json",
    "model.safetensors",
    "modules.json",
    "onnx/model.onnx",
    "onnx/model_O4.onnx",
    "openvino/openvino_model.bin",
    "openvino/openvino_model.xml",
    "pytorch_model.bin",
    "sentence_bert_config.json",
    "tokenizer.json",
];

/// An older repository, never converted.
const PICKLED: &[&str] = &[
    "config.json",
    "merges.txt",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
    "pytorch_model.bin.index.json",
    "training_args.bin",
    "vocab.json",
];

const BOTH_SHARDED: &[&str] = &[
    "config.json",
    "model-00001-of-00003.safetensors",
    "model.safetensors.index.json",
    "modeling_custom.py",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
    "pytorch_model.bin.index.json",
    "qwen.tiktoken",
];

/// stabilityai/stable-diffusion-xl-base-1.0.
const SDXL: &[&str] = &[
    "README.md",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "sd_xl_base_1.0.safetensors",
    "sd_xl_base_1.0_0.9vae.safetensors",
    "sd_xl_offset_example-lora_1.0.safetensors",
    "text_encoder/config.json",
    "text_encoder/flax_model.msgpack",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/model.onnx",
    "text_encoder/model.safetensors",
    "text_encoder/openvino_model.bin",
    "text_encoder/openvino_model.xml",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_flax_model.msgpack",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/model.onnx",
    "unet/model.onnx_data",
    "vae_decoder/model.onnx",
];

/// stable-diffusion-v1-5: every format of every component, and a variant that one component has in the old format only.
const SD15: &[&str] = &[
    "model_index.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "safety_checker/pytorch_model.bin",
    "safety_checker/pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "v1-5-pruned-emaonly.ckpt",
    "v1-5-pruned-emaonly.safetensors",
    "v1-inference.yaml",
];

/// A ControlNet or an adapter: no pipeline, so that the weights at the top are the model.
const CONTROLNET: &[&str] = &[
    "config.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.safetensors",
];

const GPT_OSS: &[&str] = &[
    "chat_template.jinja",
    "config.json",
    "metal/model.bin",
    "model-00000-of-00002.safetensors",
    "model.safetensors.index.json",
    "original/config.json",
    "original/dtypes.json",
    "original/model.safetensors",
];

const GGUF: &[&str] = &["README.md", "config.json", "llama-2-7b.Q4_K_M.gguf", "llama-2-7b.Q8_0.gguf"];

const CTRANSLATE: &[&str] = &[
    ".gitattributes",
    "README.md",
    "config.json",
    "model.bin",
    "preprocessor_config.json",
    "tokenizer.json",
    "vocabulary.json",
];

#[track_caller]
fn check(preset: Preset, listing: &[&str], left_out: &[&str]) {
    let chosen = choose(preset, listing).unwrap();
    let found: Vec<&str> = listing.iter().copied().filter(|path| !chosen.contains(path)).collect();
    assert_eq!(found, left_out, "{preset:?}");
}

#[test]
fn what_transformers_never_reads_is_left_out_and_nothing_else() {
    let check = |listing, left_out| check(Preset::Transformers, listing, left_out);
    check(LLAMA, &["original/consolidated.00.pth", "original/params.json", "original/tokenizer.model"]);
    check(MISTRAL, &["consolidated.safetensors"]);
    check(PIXTRAL, &[]);
    check(
        BERT,
        &[
            "coreml/fill-mask/float32_model.mlpackage/Data/com.apple.CoreML/model.mlmodel",
            "coreml/fill-mask/float32_model.mlpackage/Manifest.json",
            "flax_model.msgpack",
            "model.onnx",
            "pytorch_model.bin",
            "rust_model.ot",
            "tf_model.h5",
        ],
    );
    check(
        BOTH_SHARDED,
        &["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"],
    );
    check(GPT_OSS, &["metal/model.bin", "original/config.json", "original/dtypes.json", "original/model.safetensors"]);
}

#[test]
fn weights_that_are_there_in_one_format_only_stay() {
    check(Preset::Transformers, PICKLED, &["training_args.bin"]);
    check(
        Preset::Transformers,
        SENTENCE,
        &[
            "onnx/model.onnx",
            "onnx/model_O4.onnx",
            "openvino/openvino_model.bin",
            "openvino/openvino_model.xml",
            "pytorch_model.bin",
        ],
    );
    check(Preset::VLLM, PICKLED, &["training_args.bin"]);
    check(Preset::Transformers, &["adapter_config.json", "adapter_model.bin"], &[]);
    check(Preset::Transformers, &["adapter_model.bin", "adapter_model.safetensors"], &["adapter_model.bin"]);
    check(Preset::Transformers, &["model.fp16.safetensors", "pytorch_model.bin"], &[]);
}

#[test]
fn vllm_gets_no_weights_at_the_top_beside_safetensors() {
    check(Preset::VLLM, LLAMA, &["original/consolidated.00.pth", "original/params.json", "original/tokenizer.model"]);
    check(Preset::VLLM, MISTRAL, &["consolidated.safetensors"]);
    check(Preset::VLLM, PIXTRAL, &[]);
    check(Preset::VLLM, &["config.json", "gptq.pt", "model.safetensors"], &["gptq.pt"]);
    check(Preset::Transformers, &["config.json", "gptq.pt", "model.safetensors"], &[]);
}

#[test]
fn a_pipeline_of_diffusers_is_its_components() {
    check(
        Preset::Diffusers,
        SDXL,
        &[
            "sd_xl_base_1.0.safetensors",
            "sd_xl_base_1.0_0.9vae.safetensors",
            "sd_xl_offset_example-lora_1.0.safetensors",
            "text_encoder/flax_model.msgpack",
            "text_encoder/model.onnx",
            "text_encoder/openvino_model.bin",
            "text_encoder/openvino_model.xml",
            "unet/diffusion_flax_model.msgpack",
            "unet/model.onnx",
            "unet/model.onnx_data",
            "vae_decoder/model.onnx",
        ],
    );
    check(
        Preset::Diffusers,
        SD15,
        &[
            "safety_checker/pytorch_model.bin",
            "unet/diffusion_pytorch_model.bin",
            "unet/diffusion_pytorch_model.fp16.bin",
            "v1-5-pruned-emaonly.ckpt",
            "v1-5-pruned-emaonly.safetensors",
        ],
    );
    check(Preset::Diffusers, CONTROLNET, &["diffusion_pytorch_model.bin"]);
    check(Preset::Diffusers, &["model_index.json", "pytorch_lora_weights.safetensors"], &[]);
}

#[test]
fn faster_whisper_gets_the_files_that_it_asks_for() {
    check(Preset::FasterWhisper, CTRANSLATE, &[".gitattributes", "README.md"]);
}

#[test]
fn a_preset_that_leaves_no_weights_is_refused_with_what_is_there() {
    for (preset, listing, example) in [
        (Preset::Transformers, GGUF, "llama-2-7b.Q4_K_M.gguf"),
        (Preset::VLLM, GGUF, "llama-2-7b.Q4_K_M.gguf"),
        (Preset::FasterWhisper, BERT, "coreml/fill-mask"),
    ] {
        let error = choose(preset, listing).unwrap_err().to_string();
        assert!(error.contains(example) && error.contains("leave `preset` out"), "{error}");
    }
    // Without any weights there is nothing to miss.
    check(Preset::Transformers, &["config.json", "tokenizer.json"], &[]);
}

#[test]
fn a_shard_is_named_after_what_it_is_a_shard_of() {
    for (file, expected) in [
        ("pytorch_model-00001-of-00002.bin", "model"),
        ("model-00001-of-00002.safetensors", "model"),
        ("model.fp16-00001-of-00002.safetensors", "model.fp16"),
        ("diffusion_pytorch_model-00001-of-00002.fp16.bin", "diffusion_pytorch_model.fp16"),
        ("state-of-the-art.bin", "state-of-the-art"),
        ("pytorch_lora_weights.bin", "pytorch_lora_weights"),
        ("x", "x"),
    ] {
        assert_eq!(stem(file), expected, "{file}");
    }
}
