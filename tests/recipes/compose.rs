//! The Compose sample: the models before the application, backups and clean-up as commands. The file is read by Compose's own
//! library, and each service is run in its order.

use crate::container::Container;
use crate::hub;
use crate::pages::root;
use crate::program::program;
use crate::world::{USER, World};
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sample in a world.
struct Studio {
    world: World,
    project: Value,
}

impl Studio {
    fn new() -> Self {
        let world = World::new();
        let sample = root().join("config/samples/compose");
        for name in ["cache.yaml", "compose.yaml", "models.env"] {
            world.write(name, std::fs::read(sample.join(name)).unwrap());
        }
        let project = read(&world.path("compose.yaml"), &world.hub.url);
        // As Docker makes volumes: root's.
        for name in project["volumes"].as_object().unwrap().keys() {
            std::fs::create_dir_all(world.path("docker").join(name)).unwrap();
        }
        Self { world, project }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.world.path("docker").join(name)
    }

    fn container(&self, service: &str) -> Container {
        let found = &self.project["services"][service];
        assert!(found.is_object(), "no service {service}");
        let volume = |name: &str| self.volume(name);
        let mut container = Container::of(found, &volume);
        let networks: Vec<&String> = found["networks"].as_object().into_iter().flat_map(|it| it.keys()).collect();
        let inside = |name: &&String| self.project["networks"][name.as_str()]["internal"] == true;
        container.offline |= !networks.is_empty() && networks.iter().all(inside);
        container
    }

    /// `docker compose up SERVICE`, up to what it depends on: all of that must be services that end.
    fn before(&self, service: &str) -> Vec<String> {
        let mut order = vec![];
        for (name, how) in self.project["services"][service]["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(how["condition"], "service_completed_successfully", "{service} on {name}");
            order.extend(self.before(name));
            order.push(name.clone());
        }
        order
    }

    /// `docker compose run --rm SERVICE`.
    fn run(&self, service: &str) -> String {
        for name in self.before(service) {
            self.container(&name).succeed();
        }
        self.container(service).succeed()
    }

    /// The application, which does this.
    fn app(&self, script: &str) -> String {
        let mut app = self.container("app");
        app.command = ["bash", "-euc", script].map(str::to_owned).to_vec();
        app.succeed()
    }
}

/// A Compose file, as Compose understands it.
fn read(file: &Path, endpoint: &str) -> Value {
    let output = Command::new(program("compose"))
        .arg(file)
        .env_clear()
        .env("HF_ENDPOINT", endpoint)
        .env("HF_TOKEN", hub::READER)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_models_are_there_before_the_application_starts_and_it_reads_them_without_a_network() {
    let studio = Studio::new();
    assert_eq!(studio.before("app"), ["own", "warm"]);
    for service in studio.before("app") {
        studio.container(&service).succeed();
    }
    assert!(studio.container("app").offline);
    studio.app(
        "test \"$HF_HUB_OFFLINE\" = 1
         cd \"$HF_HOME/hub/models--Efficient-Large-Model--Sana_Sprint_0.6B_1024px_diffusers\"
         test -s \"snapshots/$(cat refs/main)/transformer/diffusion_pytorch_model.safetensors\"
         cd \"$MODELCACHE_HUB_SPEECH/models--Systran--faster-whisper-small\"
         test -s \"snapshots/$(cat refs/main)/model.bin\"
         ! touch /models/x 2>/dev/null
         ! touch /speech/x 2>/dev/null
         echo cat > /app/assets/images/cat.png
         echo line > /var/log/studio/app.log",
    );
    let sent = studio.world.hub.counters();
    studio.run("warm");
    let again = studio.world.hub.counters();
    assert_eq!(sent.requests, again.requests, "a second start asks nobody");
}

#[test]
fn a_warm_up_that_fails_says_why_and_the_application_is_not_started() {
    let studio = Studio::new();
    studio.container("own").succeed();
    studio.world.hub.state.lock().repos.clear();
    let output = studio.container("warm").run();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(12), "{said}");
    assert!(said.contains("studio/models: NotFound"), "{said}");
}

#[test]
fn a_volume_that_is_still_roots_is_a_failure_that_names_it() {
    let studio = Studio::new();
    let output = studio.container("warm").run();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(41), "{said}");
    assert!(said.contains("/volumes/models"), "{said}");
    assert!(studio.world.below("docker/models").is_empty());
}

#[test]
fn everything_but_the_directories_is_made_by_a_user_who_is_not_root() {
    let studio = Studio::new();
    studio.run("warm");
    for (name, service) in studio.project["services"].as_object().unwrap() {
        let user = service["user"].as_str().unwrap();
        assert_eq!(user == "0:0", name == "own", "{name} runs as {user}");
        assert_eq!(service["cap_drop"] == serde_json::json!(["ALL"]), name != "app", "{name}");
    }
    for volume in ["models", "speech", "assets", "logs", "backups"] {
        assert_eq!(std::fs::metadata(studio.volume(volume)).unwrap().uid(), USER, "{volume}");
    }
    let snapshot =
        studio.world.snapshot("docker/models/huggingface", "Efficient-Large-Model/Sana_Sprint_0.6B_1024px_diffusers");
    assert_eq!(std::fs::metadata(snapshot.join("model_index.json")).unwrap().uid(), USER);
}

#[test]
fn a_token_of_the_shell_reaches_the_services_that_fetch_and_no_other() {
    let studio = Studio::new();
    for (name, service) in studio.project["services"].as_object().unwrap() {
        let has = service["environment"]["HF_TOKEN"] == hub::READER;
        assert_eq!(has, !["app", "own"].contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_backup_is_made_on_its_profile_and_what_was_lost_comes_back() {
    let studio = Studio::new();
    assert_eq!(studio.project["services"]["backup"]["profiles"][0], "backup");
    studio.run("warm");
    studio.app("echo cat > /app/assets/images/cat.png");
    studio.run("backup");
    std::fs::remove_file(studio.volume("assets").join("images/cat.png")).unwrap();
    std::fs::remove_dir_all(studio.volume("speech").join("huggingface")).unwrap();
    studio.run("restore");
    studio.app("test \"$(cat /app/assets/images/cat.png)\" = cat");
    let asked = studio.world.hub.counters().requests;
    studio.run("warm");
    assert_eq!(studio.world.hub.counters().requests, asked, "what was restored is whole");
    studio.app("test -s \"$MODELCACHE_HUB_SPEECH\"/models--Systran--faster-whisper-small/snapshots/*/model.bin");
}

#[test]
fn old_logs_go_on_the_profile_of_the_clean_up() {
    let studio = Studio::new();
    studio.run("warm");
    studio.app("echo old > /var/log/studio/old.log; echo new > /var/log/studio/new.log");
    studio.world.age("docker/logs/old.log", 8);
    studio.run("clean");
    studio.app("test ! -e /var/log/studio/old.log; test -e /var/log/studio/new.log");
}

#[test]
fn the_environment_beside_the_sample_is_what_the_command_prints() {
    let sample = root().join("config/samples/compose");
    let output = Command::new(env!("CARGO_BIN_EXE_modelcache"))
        .args(["env", "--format", "dotenv", "-f"])
        .arg(sample.join("cache.yaml"))
        .output()
        .unwrap();
    assert!(output.status.success());
    let committed = std::fs::read(sample.join("models.env")).unwrap();
    assert_eq!(String::from_utf8_lossy(&committed), String::from_utf8_lossy(&output.stdout));
}
