//! Packs whose objects other packs of a repository hold too. Earlier versions copied whole packs of a mirror, again after each repack.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The second version of an index begins so.
const MAGIC: &[u8] = b"\xfftOc\0\0\0\x02";
const FANOUT: usize = 256 * 4;
const NAME: usize = 20;
/// A larger index is not read.
const MOST_INDEX_BYTES: u64 = 256 << 20;
/// Smaller packs are not worth a finding: an update holds a few objects twice, which its deltas build on.
const LEAST_BYTES: u64 = 64 << 10;
/// A pack is doubled if other packs hold this share of its objects, in percent.
const SHARE: usize = 90;

/// The doubled packs of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubled {
    /// How many.
    pub packs: usize,
    /// Their bytes, with their indexes.
    pub bytes: u64,
}

struct Pack {
    bytes: u64,
    names: Vec<[u8; NAME]>,
}

/// Looks for doubled packs below a `.git` folder. Of two equal packs one counts.
pub fn doubled(git: &Path) -> Doubled {
    let mut packs: Vec<Pack> = indexes(&git.join("objects/pack")).iter().filter_map(|index| pack(index)).collect();
    packs.sort_by_key(|pack| (usize::MAX - pack.names.len(), pack.bytes));
    let (mut found, mut seen) = (Doubled::default(), HashSet::new());
    for pack in packs {
        let twice = pack.names.iter().filter(|name| seen.contains(*name)).count();
        if pack.bytes >= LEAST_BYTES && twice * 100 >= pack.names.len() * SHARE && twice > 0 {
            found.packs += 1;
            found.bytes += pack.bytes;
        } else {
            seen.extend(pack.names);
        }
    }
    found
}

fn indexes(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "idx")).collect();
    found.sort();
    found
}

fn pack(index: &Path) -> Option<Pack> {
    let of_index = fs::metadata(index).ok().filter(|about| about.len() <= MOST_INDEX_BYTES)?.len();
    let of_pack = fs::metadata(index.with_extension("pack")).ok()?.len();
    Some(Pack { bytes: of_pack + of_index, names: names(&fs::read(index).ok()?)? })
}

/// The names in an index; the first version has an offset before each.
fn names(index: &[u8]) -> Option<Vec<[u8; NAME]>> {
    let (begin, before) = if index.starts_with(MAGIC) { (MAGIC.len(), 0) } else { (0, 4) };
    let count = index.get(begin + FANOUT - 4..begin + FANOUT)?;
    let count = usize::try_from(u32::from_be_bytes(count.try_into().ok()?)).ok()?;
    let length = count.checked_mul(NAME + before)?;
    let entries = index.get(begin + FANOUT..(begin + FANOUT).checked_add(length)?)?;
    entries.chunks_exact(NAME + before).map(|entry| entry.get(before..)?.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(version: u32, first: u32, count: u32) -> Vec<u8> {
        let mut bytes = if version == 2 { MAGIC.to_vec() } else { Vec::new() };
        bytes.extend((0..256).flat_map(|_| count.to_be_bytes()));
        for name in first..first + count {
            bytes.extend((version == 1).then_some([0; 4]).into_iter().flatten());
            bytes.extend([name.to_be_bytes().as_slice(), &[0; 16]].concat());
        }
        bytes.extend([0; 40]);
        bytes
    }

    #[test]
    fn a_pack_within_others_is_doubled_and_one_that_overlaps_a_little_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let packs = folder.path().join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        let add = |name: &str, index: Vec<u8>, bytes: usize| {
            fs::write(packs.join(format!("{name}.idx")), &index).unwrap();
            fs::write(packs.join(format!("{name}.pack")), vec![0; bytes]).unwrap();
            (index.len() + bytes) as u64
        };
        assert_eq!(doubled(folder.path()), Doubled::default());
        add("a", index(2, 0, 100), 100_000);
        add("b", index(2, 90, 20), 100_000);
        add("small", index(2, 0, 5), 100);
        assert_eq!(doubled(folder.path()), Doubled::default());
        let mut bytes = add("old", index(1, 0, 90), 100_000);
        assert_eq!(doubled(folder.path()), Doubled { packs: 1, bytes });
        bytes += add("same", index(2, 0, 100), 100_000);
        assert_eq!(doubled(folder.path()), Doubled { packs: 2, bytes });
        for damaged in [vec![], b"\xfftOc".to_vec(), index(2, 0, 9)[..1_060].to_vec(), vec![0xff; 2_000]] {
            add("damaged", damaged, 100_000);
            assert_eq!(doubled(folder.path()).packs, 2);
        }
    }
}
