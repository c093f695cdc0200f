//! How fast are the loops that touch every byte, and the one that touches every name? `cargo bench --bench hot_paths`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark; criterion's macros make the functions public")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use modelcache::agent::fetch::{Digest, file_matches, git_blob_of_file, over_cores, sha256_of_file, unhex};
use modelcache::agent::source::fnmatch::Patterns;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;

/// Large enough to be past every processor cache, small enough for a hundred samples.
const FILE: u64 = 64 << 20;
/// Files in a large data set.
const NAMES: u32 = 100_000;

/// A file in memory: the disk is not what is measured.
fn file() -> File {
    let mut file = tempfile::tempfile_in("/dev/shm").unwrap();
    let block: Vec<u8> = (0..1_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for _ in 0..FILE / block.len() as u64 {
        file.write_all(&block).unwrap();
    }
    file
}

/// What the follower behind a fetch, `verify` and the adoption of files that are there hash with.
fn hashes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash a file of 64 MiB");
    group.throughput(Throughput::Bytes(FILE)).sample_size(20);
    let one = file();
    group.bench_function("sha256", |bencher| bencher.iter(|| sha256_of_file(black_box(&one)).unwrap()));
    group.bench_function("git blob", |bencher| bencher.iter(|| git_blob_of_file(black_box(&one)).unwrap()));
    let known = Digest::Sha256(sha256_of_file(&one).unwrap().1);
    group.bench_function("against a digest", |bencher| bencher.iter(|| file_matches(black_box(&one), &known).unwrap()));
    group.finish();

    let mut group = criterion.benchmark_group("hash four files of 64 MiB over all cores");
    group.throughput(Throughput::Bytes(4 * FILE)).sample_size(10);
    let four: Vec<File> = (0..4).map(|_| file()).collect();
    group.bench_function("sha256", |bencher| bencher.iter(|| over_cores(&four, |it| sha256_of_file(it).unwrap().0)));
    group.finish();
}

/// Names of a listing, as long and as deep as they come.
fn names() -> Vec<String> {
    let ending = ["safetensors", "json", "parquet", "bin", "onnx", "txt"];
    (0..NAMES)
        .map(|at| {
            let ending = ending[at as usize % ending.len()];
            format!("data/train/part-{:03}/shard-{at:06}-of-{NAMES}.{ending}", at / 1000)
        })
        .collect()
}

fn patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("match 100,000 names");
    group.throughput(Throughput::Elements(u64::from(NAMES))).sample_size(20);
    let names = names();
    let list = |patterns: &[&str]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cases = [
        ("one ending", list(&[]), list(&["*.onnx"])),
        (
            "as people write it",
            list(&["*.safetensors", "*.json", "tokenizer*"]),
            list(&["original/", "*.onnx", "*.bin"]),
        ),
        ("stars and sets", list(&["data/*/part-[0-9][0-9][0-9]/*-of-*.[!o]*"]), list(&["*9*9*9*.txt"])),
    ];
    for (name, include, exclude) in cases {
        let patterns = Patterns::new(&include, &exclude);
        let count = || names.iter().filter(|it| patterns.want(black_box(it))).count();
        assert!(count() > 0 && count() < names.len(), "{name} chooses");
        group.bench_function(name, |bencher| bencher.iter(count));
    }
    group.finish();
}

/// Digests of a listing are read from hex, one per file.
fn hex(criterion: &mut Criterion) {
    let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let read = |text: String| unhex(black_box(&text)).unwrap();
    criterion.bench_function("read a digest", |bencher| {
        bencher.iter_batched(|| text.to_owned(), read, BatchSize::SmallInput);
    });
}

criterion_group!(benches, hashes, patterns, hex);
criterion_main!(benches);
