//! How the tables look.

use super::*;
use crate::plugin::render::fixtures;
use crate::plugin::render::progress::{caches as rows, copies};
use crate::plugin::render::space;

fn look(namespaces: bool, wide: bool, colours: bool) -> Look {
    Look { namespaces, wide, paint: Paint(colours), now: fixtures::noon() }
}

#[test]
fn status_shows_what_moves_and_what_is_wrong() {
    let rows = rows(&[fixtures::warming(), fixtures::ready()], &fixtures::replicas());
    insta::assert_snapshot!("status", status(&rows, look(false, false, false)));
    insta::assert_snapshot!("status_wide_everywhere", status(&rows, look(true, true, false)));
    let coloured = status(&rows, look(false, false, true));
    assert!(coloured.contains("\u{1b}[31mWarming\u{1b}[0m") && coloured.contains("\u{1b}[32mWarmed\u{1b}[0m"));
    insta::assert_snapshot!("line", rows.iter().map(line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn nodes_shows_what_each_node_holds() {
    let copies = copies(&fixtures::replicas());
    insta::assert_snapshot!("nodes", nodes(&copies, look(false, false, false)));
    insta::assert_snapshot!("nodes_wide", nodes(&copies, look(false, true, false)));
    insta::assert_snapshot!("space", space::text(&space::space(&fixtures::warming(), &copies), Paint(false)));
}

#[test]
fn lists_look_as_kubectls() {
    let all = [fixtures::warming(), fixtures::ready()];
    insta::assert_snapshot!("caches", caches(&all, look(false, false, false)));
    insta::assert_snapshot!("caches_wide_everywhere", caches(&all, look(true, true, false)));
    insta::assert_snapshot!("backups_wide", backups(&fixtures::backups(), look(false, true, false)));
}
