//! What happens when somebody follows a page? Its files of YAML are written, and its `sh` fences are run, in their order.
//!
//! A fence of YAML whose first line is `# NAME.yaml` is that file. `console` fences need a cluster or a container tool, and are
//! not run here.

use crate::pages::{Block, blocks};
use crate::world::World;
use std::path::Path;
use std::process::Command;

/// A page that is followed, step by step.
pub struct Reader<'a> {
    world: &'a World,
    steps: Vec<Block>,
    /// Changes a file of YAML before it is written: origins that are not the hub have a stand-in here.
    pub edit: Box<dyn Fn(String) -> String>,
}

impl<'a> Reader<'a> {
    pub fn of(world: &'a World, page: &str) -> Self {
        let mut steps = blocks(page);
        steps.reverse();
        Self { world, steps, edit: Box::new(|text| text) }
    }

    /// Follows the page up to and including the next `sh` fence; its output. It must succeed.
    pub fn next(&mut self) -> String {
        while let Some(block) = self.steps.pop() {
            match block.language.as_str() {
                "yaml" => self.save(&block),
                "sh" => return self.run(&block),
                _ => {}
            }
        }
        panic!("the page has no further commands");
    }

    /// Whether every `sh` fence was run.
    pub fn at_its_end(&self) -> bool {
        self.steps.iter().all(|it| it.language != "sh")
    }

    fn save(&self, block: &Block) {
        let name = block.text.lines().next().and_then(|it| it.strip_prefix("# ")).unwrap_or_default();
        if Path::new(name).extension().is_some_and(|it| it == "yaml") && !name.contains(' ') {
            self.world.write(name, (self.edit)(block.text.clone()));
        }
    }

    fn run(&self, block: &Block) -> String {
        let binary = Path::new(env!("CARGO_BIN_EXE_modelcache")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block.text])
            .current_dir(self.world.path(""))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.world.path(""))
            .env("HF_ENDPOINT", &self.world.hub.url)
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}:\n{}\n{text}", block.at, block.text);
        text
    }
}
