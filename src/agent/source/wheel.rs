//! Can a Python be told to install this file? Read from its name.
//!
//! `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl`, each tag a dot-separated set
//! (<https://packaging.python.org/en/latest/specifications/binary-distribution-format/>).

use crate::api::source::Architecture;

/// What a wheelhouse is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// Minor version of Python 3; any when `None`.
    pub minor: Option<u32>,
    /// Processor; any when `None`.
    pub architecture: Option<Architecture>,
}

/// Whether a file is a wheel that some Linux of this target can install. Source distributions are none.
pub fn fits(file: &str, target: Target) -> bool {
    let Some(stem) = file.strip_suffix(".whl") else { return false };
    let mut tags = stem.rsplit('-');
    let (Some(platforms), Some(abis), Some(pythons)) = (tags.next(), tags.next(), tags.next()) else { return false };
    // A name and a version stand before the tags.
    tags.clone().count() >= 2
        && platforms.split('.').any(|it| platform_fits(it, target.architecture))
        && target.minor.is_none_or(|minor| python_fits(pythons, abis, minor))
}

fn platform_fits(platform: &str, architecture: Option<Architecture>) -> bool {
    if platform == "any" {
        return true;
    }
    let processor = match architecture {
        _ if !platform.contains("linux") => return false,
        None => return true,
        Some(Architecture::Amd64) => "_x86_64",
        Some(Architecture::Arm64) => "_aarch64",
    };
    platform.ends_with(processor)
}

fn python_fits(pythons: &str, abis: &str, minor: u32) -> bool {
    let stable = abis.split('.').any(|it| it == "abi3");
    let pure = abis.split('.').any(|it| it == "none");
    pythons.split('.').any(|python| match python.strip_prefix("cp3").map(str::parse::<u32>) {
        // The stable ABI, and what needs no ABI, work from that version on.
        Some(Ok(version)) => version == minor || (version < minor && (stable || pure)),
        Some(Err(_)) => false,
        None => match python.strip_prefix("py3").map(str::parse::<u32>) {
            Some(Ok(version)) => version <= minor,
            Some(Err(_)) => python == "py3",
            None => false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_are_chosen_by_the_tags_in_their_names() {
        let any = Target::default();
        let python = |minor| Target { minor: Some(minor), architecture: Some(Architecture::Amd64) };
        for (file, target, expected) in [
            ("numpy-2.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", any, true),
            ("numpy-2.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", python(12), true),
            ("numpy-2.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", python(11), false),
            ("numpy-2.1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", python(13), false),
            ("numpy-2.1-cp312-cp312-manylinux_2_17_aarch64.whl", python(12), false),
            ("numpy-2.1-cp312-cp312-musllinux_1_2_x86_64.whl", python(12), true),
            ("numpy-2.1-cp312-cp312-macosx_11_0_arm64.whl", any, false),
            ("numpy-2.1-cp312-cp312-win_amd64.whl", any, false),
            ("tokenizers-0.20-cp39-abi3-manylinux_2_17_x86_64.whl", python(12), true),
            ("tokenizers-0.20-cp39-abi3-manylinux_2_17_x86_64.whl", python(8), false),
            ("six-1.16.0-py2.py3-none-any.whl", python(12), true),
            ("thing-1.0-py27-none-any.whl", python(12), false),
            ("thing-1.0-py310-none-any.whl", python(9), false),
            ("thing-1.0-1-py3-none-any.whl", python(9), true),
            ("six-1.16.0.tar.gz", any, false),
            ("none-any.whl", any, false),
        ] {
            assert_eq!(fits(file, target), expected, "{file} {target:?}");
        }
    }
}
