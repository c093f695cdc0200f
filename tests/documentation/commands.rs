//! Can every command line of ours in the pages be typed as it stands there?

use crate::cli::Cli;
use crate::pages::{all, blocks, prose};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use modelcache::plugin::Plugin;

/// Words of a line, as a shell splits it: quotes join, what follows `#`, `|`, `>`, `;` or `&&` is left out.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![];
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '|' | '>' | ';' | '&' | ')') => break,
            (None, '#') if !begun => break,
            (None, ' ') if begun => {
                words.push(std::mem::take(&mut word));
                begun = false;
            }
            (None, ' ') => {}
            (None, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// The command in a line that runs ours, as program or as kubectl's plugin: behind a prompt, variables, `sudo` or `$(`.
fn ours(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start().trim_start_matches("$ ");
    let line = line.replace("kubectl modelcache ", "kubectl-modelcache ");
    let line = line.split_once("$(modelcache ").map_or(line.to_owned(), |(_, rest)| format!("modelcache {rest}"));
    let words = words(&line);
    let assigns = |it: &String| {
        it.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let skip = words.iter().take_while(|it| assigns(it) || *it == "sudo").count();
    let program = words.get(skip)?;
    let is_ours = program == "modelcache" || program == "kubectl-modelcache";
    (is_ours && words.len() > skip + 1).then(|| words[skip..].to_vec())
}

/// Whether the program takes a command line.
fn parse(words: &[String]) -> Result<(), clap::Error> {
    if words[0] == "modelcache" {
        return Cli::try_parse_from(words).map(|_| ());
    }
    Plugin::try_parse_from(words).map(|_| ())
}

#[test]
fn every_command_line_in_a_fence_is_one_that_the_program_takes() {
    let (mut wrong, mut seen) = (vec![], 0);
    for page in all() {
        for block in blocks(&page).iter().filter(|it| it.language != "yaml") {
            for line in block.text.replace("\\\n", " ").lines().filter_map(ours) {
                seen += 1;
                if let Err(error) = parse(&line) {
                    wrong.push(format!("{}: {}\n    {error}", block.at, line.join(" ")));
                }
            }
        }
    }
    assert!(seen > 40, "only {seen} command lines were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_that_the_text_names_has_a_subcommand_and_flags_that_exist() {
    let mut wrong = vec![];
    for page in all() {
        for (number, line) in prose(&page) {
            for code in line.split('`').skip(1).step_by(2).filter_map(ours) {
                let Err(error) = parse(&code) else { continue };
                // In a sentence only a part of a command is named.
                if matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
                    wrong.push(format!("{page}:{number}: {}\n    {error}", code.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_example_in_the_help_of_the_plugin_is_one_that_it_takes() {
    let (mut wrong, mut seen) = (vec![], 0);
    for command in Plugin::command().get_subcommands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(ours) {
            seen += 1;
            if let Err(error) = parse(&line) {
                wrong.push(format!("{}\n    {error}", line.join(" ")));
            }
        }
    }
    assert!(seen > 25, "only {seen} examples were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
