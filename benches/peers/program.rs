//! What does each program get to do, and what does it check? One line of shell each, as people would write it.

/// A program that takes part.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub name: &'static str,
    /// Run in an empty directory. `$REPO` is what to fetch, `$LISTS` has it in each program's own words.
    pub script: &'static str,
    /// What it knows of the bytes when it says that it is done.
    pub checks: &'static str,
}

const NOTHING: &str = "that as many bytes came as the server announced";

pub const OURS: Program = Program {
    name: "modelcache prefetch",
    script: r#"exec "$MODELCACHE" prefetch -f "$LISTS/$REPO.yaml" --volumes-dir ."#,
    checks: "SHA-256 (git's SHA-1 for small files) of every file, fsync, before anything is published",
};
pub const HF: Program =
    Program { name: "hf download", script: r#"exec "$PYTHON" "$HF/bin/hf" download "bench/$REPO""#, checks: "length" };
pub const HF_TRANSFER: Program = Program {
    name: "hf_transfer",
    script: r#"PYTHONPATH="$HF_TRANSFER" exec "$PYTHON" "$LISTS/transfer.py" "$LISTS/$REPO.curl""#,
    checks: "nothing",
};
pub const CURL: Program =
    Program { name: "curl", script: r#"exec curl -sSfL -K "$LISTS/$REPO.curl""#, checks: NOTHING };
pub const CURL_Z: Program =
    Program { name: "curl -Z", script: r#"exec curl -sSfL -Z -K "$LISTS/$REPO.curl""#, checks: NOTHING };
pub const CURL_Z_SHA256: Program = Program {
    name: "curl -Z, then SHA-256 of each file, in parallel",
    script: r#"curl -sSfL -Z -K "$LISTS/$REPO.curl" && for file in *; do openssl dgst -sha256 "$file" & done >/dev/null && wait"#,
    checks: "SHA-256, by openssl: a process per file",
};
pub const ARIA2: Program = Program {
    name: "aria2c -x16 -s16",
    script: r#"exec aria2c -q -x16 -s16 -i "$LISTS/$REPO.aria2""#,
    checks: NOTHING,
};
pub const ARIA2_TUNED: Program = Program {
    name: "aria2c -x16 -s16 -k1M --file-allocation=none",
    script: r#"exec aria2c -q -x16 -s16 -k1M --file-allocation=none -i "$LISTS/$REPO.aria2""#,
    checks: NOTHING,
};
pub const CP: Program = Program { name: "cp", script: r#"exec cp "$LISTS/$REPO"/* ."#, checks: "nothing" };

/// The same with everything on the disk at the end. Ours has done that for the content; the sync is run all the same.
pub const OURS_SYNC: Program = Program {
    name: "modelcache prefetch + sync",
    script: r#""$MODELCACHE" prefetch -f "$LISTS/$REPO.yaml" --volumes-dir . && exec sync -f ."#,
    ..OURS
};
pub const HF_SYNC: Program = Program {
    name: "hf download + sync",
    script: r#""$PYTHON" "$HF/bin/hf" download "bench/$REPO" && exec sync -f ."#,
    ..HF
};
pub const CP_SYNC: Program =
    Program { name: "cp + sync", script: r#"cp "$LISTS/$REPO"/* . && exec sync -f ."#, checks: "nothing" };

/// On a volume that is there. Offline.
pub const OURS_VERIFY: Program = Program {
    name: "modelcache verify",
    script: r#"exec "$MODELCACHE" verify -f "$LISTS/$REPO.yaml" --volumes-dir ."#,
    checks: "every byte of every file, every link; offline",
};
pub const HF_VERIFY: Program = Program {
    name: "hf cache verify",
    script: r#"exec "$PYTHON" "$HF/bin/hf" cache verify "bench/$REPO" --cache-dir models/huggingface/hub"#,
    checks: "every byte of every file; asks the hub for the list",
};

/// Brought to `$LISTS`.
pub const TRANSFER: &str = include_str!("transfer.py");
