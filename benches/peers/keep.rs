//! Who keeps files, and brings them back? Lines of shell, as people write them.
//!
//! Each program works in a directory of its own, which is its home. `$DATA` has the files. Ours finds them as the volume of a
//! ModelCache, `$CACHE`, below `$VOLUMES`.

use crate::program::Program;

/// A program that keeps files in a place of its own.
#[derive(Clone, Copy, Debug)]
pub struct Keeper {
    /// Its directory. Two that write the same may share one.
    pub place: &'static str,
    /// What makes the place ready. It is not timed.
    pub before: Option<Program>,
    pub backup: Program,
    pub restore: Program,
}

/// What a tar knows at the end.
const TAR: &str = "nothing of the bytes; not on the disk yet";

pub const OURS: Keeper = Keeper {
    place: "modelcache",
    before: Some(Program { name: "a directory for modelcache", script: "mkdir repository", checks: "" }),
    backup: Program {
        name: "modelcache backup",
        script: r#"exec "$MODELCACHE" backup -f "$CACHE" --volumes-dir "$VOLUMES" --to repository"#,
        checks: "each file was read while nobody changed it, SHA-256 of every file; all on the disk before the snapshot is",
    },
    restore: Program {
        name: "modelcache restore",
        script: r#"exec "$MODELCACHE" restore -f "$CACHE" --from repository --volumes-dir back"#,
        checks: "SHA-256 of every file, and all on the disk, before any is in its place",
    },
};
/// Its settings are its own: compression by zstd where that pays, encryption, a cache of its own.
pub const RESTIC: Keeper = Keeper {
    place: "restic",
    before: Some(Program {
        name: "restic init",
        script: r#"echo secret > password && exec "$RESTIC" -r repository -p password init"#,
        checks: "",
    }),
    backup: Program {
        name: "restic backup",
        script: r#"cd "$DATA" && exec "$RESTIC" -r "$HOME/repository" -p "$HOME/password" backup ."#,
        checks: "SHA-256 of every piece; each pack on the disk before the snapshot is",
    },
    restore: Program {
        name: "restic restore",
        script: r#"exec "$RESTIC" -r repository -p password restore latest --target back/files"#,
        checks: "SHA-256 of every piece; not on the disk yet",
    },
};
pub const TAR_GZ: Keeper = Keeper {
    place: "tar.gz",
    before: None,
    backup: Program { name: "tar -z", script: r#"exec tar -czf all.tar.gz -C "$DATA" ."#, checks: TAR },
    restore: Program { name: "tar -xz", script: "exec tar -xzf all.tar.gz -C back/files", checks: TAR },
};
pub const TAR_ZSTD: Keeper = Keeper {
    place: "tar.zst",
    before: None,
    backup: Program {
        name: "tar + zstd -1",
        script: r#"exec tar -I 'zstd -1' -cf all.tar.zst -C "$DATA" ."#,
        checks: TAR,
    },
    restore: Program {
        name: "tar -x + zstd",
        script: "exec tar -I zstd -xf all.tar.zst -C back/files",
        checks: "zstd's checksum; not on the disk yet",
    },
};
/// The same with everything on the disk at the end, as ours has it.
pub const TAR_ZSTD_SYNC: Keeper = Keeper {
    backup: Program {
        name: "tar + zstd -1, then sync",
        script: r#"tar -I 'zstd -1' -cf all.tar.zst -C "$DATA" . && exec sync -f ."#,
        checks: "nothing of the bytes",
    },
    restore: Program {
        name: "tar -x + zstd, then sync",
        script: "tar -I zstd -xf all.tar.zst -C back/files && exec sync -f .",
        checks: "zstd's checksum",
    },
    ..TAR_ZSTD
};
