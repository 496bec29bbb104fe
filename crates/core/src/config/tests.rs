//! Configurations as people write them.

use super::*;

#[test]
fn every_default_is_of_its_kind_and_nothing_set_is_the_default() {
    let loaded = Config::load(&Sources::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.entries.len(), settings().count());
}
