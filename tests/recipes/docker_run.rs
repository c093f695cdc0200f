//! The lines of `docker run` in docs/compose.md, one after the other, each in the stand-in for a container.

use crate::container::{Container, Mount};
use crate::hub;
use crate::pages::blocks;
use crate::world::World;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The lines of the page that begin with `docker`, joined where a backslash parts them.
fn lines() -> Vec<Vec<String>> {
    let all = blocks("docs/compose.md");
    let fences = all.iter().filter(|it| it.language == "sh");
    let text: String = fences.map(|it| it.text.replace("\\\n", " ")).collect();
    text.lines()
        .filter(|it| it.starts_with("docker ") && !it.starts_with("docker compose"))
        .map(|it| it.split_whitespace().map(|word| word.replace('"', "")).collect())
        .collect()
}

/// What a line of `docker run` asks for, and the file that its output goes to.
fn parse(line: &[String], world: &World) -> (Container, Option<PathBuf>) {
    let mut container = Container::default();
    let mut words = line.iter().skip(2).peekable();
    let value = |words: &mut std::iter::Peekable<std::iter::Skip<std::slice::Iter<'_, String>>>| {
        words.next().unwrap_or_else(|| panic!("{line:?} ends too early")).clone()
    };
    while let Some(flag) = words.next_if(|it| it.starts_with('-')) {
        match flag.as_str() {
            "--rm" => {}
            "--read-only" => container.read_only = true,
            "--user" => container.user = value(&mut words),
            "--cap-drop" => container.all_capabilities_dropped = value(&mut words) == "ALL",
            "--cap-add" => container.capabilities.push(value(&mut words)),
            "--network" => container.offline = value(&mut words) == "none",
            "-e" => {
                // Without a value: that of the shell. There the tests name the hub as well.
                let name = value(&mut words);
                container.environment.insert(name, hub::READER.to_owned());
                container.environment.insert("HF_ENDPOINT".to_owned(), world.hub.url.clone());
            }
            "--env-file" => container.environment.extend(file(world, &value(&mut words))),
            "-v" => container.mounts.push(mount(world, &value(&mut words))),
            other => panic!("the tests do not know `docker run {other}`"),
        }
    }
    container.ours = words.next().unwrap().contains("/modelcache:");
    container.command = words.by_ref().take_while(|it| *it != ">").cloned().collect();
    (container, line.iter().skip_while(|it| *it != ">").nth(1).map(|name| world.path(name)))
}

fn mount(world: &World, text: &str) -> Mount {
    let parts: Vec<&str> = text.split(':').collect();
    let source = match parts[0].strip_prefix("$PWD/") {
        Some(here) => world.path(here),
        None => world.path("docker").join(parts[0]),
    };
    std::fs::create_dir_all(if source.is_file() { source.parent().unwrap() } else { &source }).unwrap();
    Mount { source, target: parts[1].to_owned(), read_only: parts.get(2) == Some(&"ro") }
}

fn file(world: &World, name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(world.path(name)).unwrap();
    text.lines().filter_map(|it| it.split_once('=')).map(|(name, it)| (name.to_owned(), it.to_owned())).collect()
}

#[test]
fn the_lines_of_docker_run_warm_a_volume_check_it_and_start_an_application_on_it() {
    let world = World::new();
    let page = blocks("docs/compose.md");
    let yaml = page.iter().find(|it| it.language == "yaml" && it.text.starts_with("# cache.yaml")).unwrap();
    world.write("cache.yaml", &yaml.text);
    let (mut ours, mut apps) = (0, 0);
    for line in lines() {
        if line[1] == "volume" {
            std::fs::create_dir_all(world.path("docker").join(&line[3])).unwrap();
            continue;
        }
        let (mut container, to) = parse(&line, &world);
        if container.ours {
            ours += 1;
        } else if container.command.is_empty() {
            apps += 1;
            let script = "test \"$HF_HUB_OFFLINE\" = 1; test -d \"$HF_HOME/hub\"; ! touch \"$HF_HOME/x\" 2>/dev/null";
            container.command = ["bash", "-euc", script].map(str::to_owned).to_vec();
        }
        let said = container.succeed();
        if let Some(to) = to {
            std::fs::write(to, said).unwrap();
        }
    }
    assert!(ours >= 4 && apps == 1, "{ours} lines of ours, {apps} of an application");
    let snapshot = world.snapshot("docker/models/huggingface", "openai-community/gpt2");
    assert!(snapshot.join("model.safetensors").exists());
}
