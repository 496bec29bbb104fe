//! How much memory a browser uses: its whole process tree, shared pages counted once.

use std::collections::HashMap;
use std::fs;

use flotilla_core::launcher::BrowserId;

/// The memory of each browser's process tree, in bytes. Browsers that are gone are left out.
///
/// Sums `resident` of the first process and `resident - shared` of its descendants, from
/// `/proc/PID/statm` (proc_pid_statm(5)): close to the proportional size, at a hundredth of its cost.
pub(crate) fn of_trees(browsers: &[(BrowserId, u32)]) -> Vec<(BrowserId, u64)> {
    let children = children();
    let page = rustix::param::page_size() as u64;
    browsers
        .iter()
        .filter_map(|(id, pid)| Some((id.clone(), tree(*pid, &children)? * page)))
        .collect()
}

/// Pages used by `root` and all that descends from it; `None` when it is gone.
fn tree(root: u32, children: &HashMap<u32, Vec<u32>>) -> Option<u64> {
    let mut total = resident(root)?.0;
    let mut open: Vec<u32> = children.get(&root).cloned().unwrap_or_default();
    while let Some(pid) = open.pop() {
        // A child may exit while we count.
        total += resident(pid).map_or(0, |(resident, shared)| resident.saturating_sub(shared));
        open.extend(children.get(&pid).into_iter().flatten());
    }
    Some(total)
}

fn resident(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut fields = text.split(' ').skip(1).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

/// Every process's children.
fn children() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, parent(pid)?))) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

/// The parent's id: the second field after the command, which is in brackets and may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_tree_is_larger_than_its_root_and_a_missing_one_is_left_out() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let me = std::process::id();
        let sizes = of_trees(&[(BrowserId("me".into()), me), (BrowserId("gone".into()), u32::MAX)]);
        let children = children();
        assert!(children[&me].contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(sizes.len(), 1);
        assert!(sizes[0].1 > 1 << 20, "{sizes:?}");
    }
}
