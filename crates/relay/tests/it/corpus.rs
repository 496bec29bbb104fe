//! Replays the inputs that fuzzing found interesting.

use std::path::Path;

use crate::checks;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("an entry").path();
        check(&std::fs::read(&path).expect("an input"));
        inputs += 1;
    }
    assert!(inputs >= 10, "{inputs} inputs in {}", folder.display());
}

#[test]
fn the_corpus_of_heads_holds() {
    replay("head", checks::check_head);
}

#[test]
fn the_corpus_of_frames_holds() {
    replay("frames", checks::check_frames);
}
