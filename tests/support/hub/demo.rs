//! Which repository does the demo use? A tiny language model that `transformers` reads offline, about 10 MB.

use super::content::Content;
use super::repo::{Kind, Repo};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const HIDDEN: u64 = 256;
const LAYERS: u64 = 4;
const WORDS: [&str; 24] = [
    "the", "model", "is", "on", "node", "and", "it", "loads", "offline", "from", "a", "cache", "every", "pod",
    "starts", "at", "disk", "speed", "hello", "world", "of", "to", "in", "one",
];

/// `demo/tiny-llm`.
pub fn tiny_llm() -> Repo {
    let pretty = |value: Value| Content::literal(format!("{value:#}\n"));
    let files = BTreeMap::from([
        (".gitattributes".into(), Content::literal("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")),
        ("README.md".into(), Content::literal("# tiny-llm\n\nRandom weights. It says nothing of sense, quickly.\n")),
        ("config.json".into(), pretty(config())),
        ("generation_config.json".into(), pretty(json!({"bos_token_id": 1, "eos_token_id": 2}))),
        ("tokenizer.json".into(), pretty(tokenizer())),
        (
            "tokenizer_config.json".into(),
            pretty(json!({
                "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>",
                "eos_token": "</s>", "model_max_length": 512
            })),
        ),
        (
            "special_tokens_map.json".into(),
            pretty(json!({"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"})),
        ),
        ("model.safetensors".into(), weights()),
        ("original/params.json".into(), pretty(json!({"dim": HIDDEN, "n_layers": LAYERS, "n_heads": 4}))),
        ("original/tokenizer/words.txt".into(), Content::literal(format!("{}\n", WORDS.join("\n")))),
        ("onnx/model.onnx".into(), Content::generated(7, 1 << 20)),
    ]);
    Repo::new(Kind::Models, "demo/tiny-llm", files)
}

fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN * 2, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 4, "vocab_size": vocabulary().len(), "max_position_embeddings": 512,
        "bos_token_id": 1, "eos_token_id": 2, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
        "torch_dtype": "float32"
    })
}

fn tokenizer() -> Value {
    let special = |id: usize, token: &str| {
        json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary(), "unk_token": "<unk>"}
    })
}

fn vocabulary() -> Map<String, Value> {
    let words = ["<unk>", "<s>", "</s>"].into_iter().chain(WORDS);
    words.enumerate().map(|(id, word)| (word.to_owned(), Value::from(id))).collect()
}

/// A safetensors file: the length of a JSON header, the header, the tensors.
fn weights() -> Content {
    let mut tensors = vec![("model.embed_tokens.weight".to_owned(), vec![vocabulary().len() as u64, HIDDEN])];
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            tensors.push((name(&format!("self_attn.{part}")), vec![HIDDEN, HIDDEN]));
        }
        for part in ["gate_proj", "up_proj"] {
            tensors.push((name(&format!("mlp.{part}")), vec![HIDDEN * 2, HIDDEN]));
        }
        tensors.push((name("mlp.down_proj"), vec![HIDDEN, HIDDEN * 2]));
        tensors.push((name("input_layernorm"), vec![HIDDEN]));
        tensors.push((name("post_attention_layernorm"), vec![HIDDEN]));
    }
    tensors.push(("model.norm.weight".to_owned(), vec![HIDDEN]));

    let (mut header, mut end) = (Map::new(), 0);
    for (name, shape) in tensors {
        let start = end;
        end += shape.iter().product::<u64>() * 4;
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut head = (header.len() as u64).to_le_bytes().to_vec();
    head.extend_from_slice(header.as_bytes());
    Content::with_head(Bytes::from(head), 42, end)
}
