//! Mending what `fsck` finds, where the store itself proves what is right: nothing is guessed, and no data is
//! dropped that anything refers to. What is left is named with what helps.

use std::path::Path;

use crate::device::Devices;
use crate::fsck::{Finding, Mend, fsck_files};
use crate::kv::{KvBase, RedbBase};
use crate::overlay::Overlay;
use crate::state::Options;
use crate::store::{OpenError, open_whole, recover};
use crate::superblock::{self, Superblock};

/// What was mended, and what was not: a line, and what helps.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    pub mended: Vec<String>,
    pub left: Vec<(String, String)>,
}

/// Mends the store in `dir`, which must not be in use; with `dry_run` only says what it would do.
///
/// # Errors
/// If there is no store, or it is in use. A store that cannot be opened is a finding that is left.
pub fn repair(dir: &Path, dry_run: bool) -> Result<Repaired, OpenError> {
    let superblock = Superblock::read(dir)?;
    let _lock = superblock::lock(dir)?;
    let disk = dir.display().to_string();
    match open_whole(dir) {
        Ok(devices) => repair_files(&devices, &superblock, &disk, dry_run),
        Err(e) => Ok(Repaired { mended: Vec::new(), left: vec![(e.to_string(), help(Mend::Nothing, &disk))] }),
    }
}

fn repair_files(devices: &Devices, superblock: &Superblock, disk: &str, dry_run: bool) -> Result<Repaired, OpenError> {
    let findings = fsck_files(devices, superblock);
    let (can, cannot): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|f| matches!(f.1, Mend::Tree | Mend::Stray(..) | Mend::Short));
    // A store that does not open is left as it is: nothing is written over what may still be read.
    let opens = !cannot.iter().any(|f| f.1 == Mend::Nothing);
    let mut done = Repaired::default();
    done.left.extend(cannot.iter().map(|f| (f.to_string(), help(f.1, disk))));
    if !opens {
        let why = "not mended while the rest is as it is".to_owned();
        done.left.extend(can.into_iter().map(|f| (f.to_string(), why.clone())));
        return Ok(done);
    }
    if !can.is_empty() && !dry_run {
        mend(devices, superblock, &can)?;
    }
    done.mended.extend(can.iter().map(Finding::to_string));
    Ok(done)
}

fn mend(devices: &Devices, superblock: &Superblock, findings: &[Finding]) -> Result<(), OpenError> {
    if findings.iter().any(|f| f.1 == Mend::Short) {
        devices.block.set_len(superblock.size)?;
        devices.block.sync()?;
    }
    let mut base = RedbBase::open(devices.kv.clone(), Options::default().kv_cache_bytes)?;
    if findings.iter().any(|f| f.1 == Mend::Tree) {
        // It builds anew what it finds damaged.
        base.check()?;
    }
    recover(devices, &base, superblock)?;
    let mut changes = Overlay::default();
    for finding in findings {
        if let Mend::Stray(table, id) = finding.1 {
            changes.drop_numbered(table, id);
        }
    }
    if !changes.is_empty() {
        base.apply(&changes, base.mark()?)?;
    }
    Ok(())
}

/// What a person does about what the store cannot mend.
fn help(mend: Mend, disk: &str) -> String {
    match mend {
        Mend::OtherCopy => "start the OSD: a deep scrub (`ceph pg deep-scrub PG`) finds it, `ceph pg repair PG` (or a \
                            client's read) mends it from another copy"
            .to_owned(),
        _ => format!(
            "what was there is known to the other copies only: move {disk} away and start the OSD, which makes an \
             empty store that is filled from them; before that, `spirula store export` PGs that no other OSD has, if \
             it still can"
        ),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::Uuid;

    use super::*;
    use crate::key;
    use crate::kv::Table;
    use crate::sim::SimDisk;
    use crate::store::Store;

    fn superblock() -> Superblock {
        let uuid = Uuid::from_random([9; 16]);
        Superblock { uuid, size: 16 << 20, wal_ring: 1 << 20, meta: [].into() }
    }

    #[test]
    fn rows_that_belong_to_nothing_are_removed_and_a_short_file_grows_again() {
        let (disk, superblock) = (SimDisk::new(), superblock());
        Store::open_devices(disk.devices(), Options::default(), "sim", &superblock).unwrap().close().unwrap();
        let base = RedbBase::open(disk.devices().kv, 1 << 20).unwrap();
        let mut stray = Overlay::default();
        stray.set(Table::Omap, key::numbered(77, b"key"), Some(Bytes::from_static(b"value")));
        base.apply(&stray, base.mark().unwrap()).unwrap();
        drop(base);
        let run = |dry_run| repair_files(&disk.devices(), &superblock, "sim", dry_run).unwrap();
        for dry_run in [true, false] {
            let done = run(dry_run);
            assert!(done.mended.len() == 2 && done.left.is_empty(), "{done:?}");
            assert!(
                done.mended[0].contains("omap number 77") && done.mended[1].contains("its end is lost"),
                "{done:?}"
            );
        }
        assert_eq!(run(false), Repaired::default());
    }
}
