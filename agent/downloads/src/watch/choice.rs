//! Which of the files that a process writes takes the bytes it receives.

use std::collections::HashMap;

use crate::download::FileId;
use crate::procfs::Opened;

/// A file this fresh may be the one at the first look, nanoseconds.
const FRESH_NS: i128 = 3_000_000_000;
/// A file shorter than this part of what came cannot hold it. Generous, since
/// the process may keep some back.
const HOLDS_PART: u64 = 4;

/// What a file looked like before.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    length: u64,
    allocated: u64,
    position: u64,
    modified_ns: i128,
}

impl From<&Opened> for Mark {
    fn from(file: &Opened) -> Self {
        let Opened { length, allocated, position, modified_ns, .. } = *file;
        Self { length, allocated, position, modified_ns }
    }
}

/// What has been written of `file`, as far as can be seen.
pub fn written(file: &Opened) -> u64 {
    if file.position > 0 { file.position } else { file.allocated }
}

/// What a process received since the look before.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// Since the transfer began, by the socket in question, bytes.
    pub pending: u64,
    /// Since the look before, by all its sockets, bytes.
    pub delta: u64,
    /// Now, nanoseconds since 1970.
    pub now_ns: i128,
}

/// Files as they were at the look before; none at the first look.
pub type Before = Option<HashMap<FileId, Mark>>;

/// How much speaks for `file`: the bytes that it has probably taken since the
/// look before. 0 excludes it.
pub fn score(file: &Opened, before: &Before, flood: Flood) -> u64 {
    if file.length < flood.pending / HOLDS_PART {
        return 0;
    }
    let Some(before) = before else {
        let fresh = flood.now_ns.saturating_sub(file.modified_ns) < FRESH_NS;
        return u64::from(fresh);
    };
    let (growth, touched) = match before.get(&file.id) {
        Some(mark) => {
            let length = file.length.saturating_sub(mark.length);
            let allocated = file.allocated.saturating_sub(mark.allocated);
            let position = file.position.saturating_sub(mark.position);
            (length.max(allocated).max(position), file.modified_ns > mark.modified_ns)
        }
        None => (file.allocated.max(file.position), flood.now_ns.saturating_sub(file.modified_ns) < FRESH_NS),
    };
    // In a file whose space was reserved only the time moves.
    if growth == 0 && touched { flood.delta.min(file.length) } else { growth }
}

/// The file that most probably takes the bytes, if one does.
pub fn choose<'f>(files: &'f [Opened], before: &Before, flood: Flood) -> Option<&'f Opened> {
    let scored = || files.iter().map(|file| (score(file, before, flood), file)).filter(|(score, _)| *score > 0);
    let best = scored().map(|(score, _)| score).max()?;
    if before.is_none() {
        // All that is known is that they are fresh: wait unless there is only one.
        let mut fresh = scored();
        let (_, only) = fresh.next()?;
        return fresh.all(|(_, other)| other.id == only.id).then_some(only);
    }
    // Of several that grow, the one that has taken as much as this socket gave.
    let distance = |file: &Opened| written(file).abs_diff(flood.pending);
    scored().filter(|(score, _)| *score >= best / 4).map(|(_, file)| file).min_by_key(|file| distance(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;
    const NOW: i128 = 1_000_000_000_000;

    fn file(ino: u64, length: u64, allocated: u64, position: u64, modified_ns: i128) -> Opened {
        Opened { at: (1, 3), id: FileId { dev: 1, ino }, length, allocated, position, modified_ns }
    }

    fn before(files: &[Opened]) -> Before {
        Some(files.iter().map(|file| (file.id, Mark::from(file))).collect())
    }

    fn chosen(old: &[Opened], new: &[Opened], pending: u64) -> Option<u64> {
        let flood = Flood { pending, delta: 10 * MB, now_ns: NOW };
        choose(new, &before(old), flood).map(|file| file.id.ino)
    }

    #[test]
    fn the_growing_file_wins_over_the_log() {
        let old = [file(1, 20 * MB, 20 * MB, 20 * MB, 1), file(2, 90 * MB, 90 * MB, 90 * MB, 1)];
        let new = [file(1, 30 * MB, 30 * MB, 30 * MB, 2), file(2, 90 * MB + 80, 90 * MB, 90 * MB + 80, 2)];
        assert_eq!(chosen(&old, &new, 30 * MB), Some(1));
    }

    #[test]
    fn a_sparse_file_grows_in_blocks_alone() {
        let (old, new) = ([file(1, 200 * MB, 20 * MB, 0, 1)], [file(1, 200 * MB, 30 * MB, 0, 2)]);
        assert_eq!(chosen(&old, &new, 30 * MB), Some(1));
    }

    #[test]
    fn a_reserved_file_moves_in_time_alone() {
        let old = [file(1, 200 * MB, 200 * MB, 0, 1), file(2, 40 * MB, 40 * MB, 0, 1)];
        let new = [file(1, 200 * MB, 200 * MB, 0, 2), file(2, 40 * MB + 99, 40 * MB, 0, 2)];
        assert_eq!(chosen(&old, &new, 30 * MB), Some(1));
    }

    #[test]
    fn files_too_small_or_at_rest_are_not_it() {
        let old = [file(1, MB, MB, MB, 1), file(2, 90 * MB, 90 * MB, 0, 1)];
        let new = [file(1, 2 * MB, 2 * MB, 2 * MB, 2), file(2, 90 * MB, 90 * MB, 0, 1)];
        assert_eq!(chosen(&old, &new, 30 * MB), None);
    }

    #[test]
    fn of_two_growing_files_each_socket_gets_its_own() {
        let old = [file(1, 10 * MB, 10 * MB, 10 * MB, 1), file(2, 60 * MB, 60 * MB, 60 * MB, 1)];
        let new = [file(1, 20 * MB, 20 * MB, 20 * MB, 2), file(2, 70 * MB, 70 * MB, 70 * MB, 2)];
        assert_eq!(chosen(&old, &new, 21 * MB), Some(1));
        assert_eq!(chosen(&old, &new, 69 * MB), Some(2));
    }

    #[test]
    fn the_first_look_decides_only_what_is_plain() {
        let flood = Flood { pending: MB, delta: MB, now_ns: NOW };
        let (fresh, stale) = (file(1, MB, MB, MB, NOW - 1), file(2, MB, MB, MB, NOW - FRESH_NS));
        let other = file(3, MB, MB, MB, NOW);
        let of = |files: &[Opened]| choose(files, &None, flood).map(|file| file.id.ino);
        assert_eq!(of(&[fresh.clone(), stale]), Some(1));
        assert_eq!(of(&[fresh, other]), None);
    }
}
