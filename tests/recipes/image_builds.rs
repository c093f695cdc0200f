//! docs/recipes/image-builds.md: a wheelhouse that a real `pip` installs from, with no index.

use crate::shell::Reader;
use crate::wheel;
use crate::world::World;

#[test]
fn a_real_pip_installs_from_the_wheelhouse_without_an_index() {
    let world = World::new();
    let mut reader = Reader::of(&world, "docs/recipes/image-builds.md");
    reader.edit = wheel::stand_in(&world);
    reader.next();
    assert_eq!(world.below("volumes/packages/wheels"), ["six-1.17.0-py2.py3-none-any.whl"]);
    let said = reader.next();
    assert!(said.contains("six.py"), "{said}");
    let asked = world.hub.counters().requests;
    reader.next();
    assert_eq!(world.hub.counters().requests, asked, "what is there is not asked for again");
    assert!(reader.at_its_end());
}
