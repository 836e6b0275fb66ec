//! Adding entries: callers that come at the same time share a batch.

use std::collections::BTreeMap;

use proofmark_tlog::Policy;
use proofmark_tlog::tile::MAX_ENTRY_BYTES;

use super::{Inclusion, Log, inclusion, lock};
use crate::entry::Entry;
use crate::error::LogError;
use crate::files::Folder;
use crate::intent;
use crate::notice::SignedNotice;
use crate::reader::Reader;
use crate::writer::{Batch, Writer};

/// Entries that wait for the next batch, and results that wait for their callers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tickets: u64,
    waiting: Vec<(u64, Vec<Vec<u8>>)>,
    done: BTreeMap<u64, Result<Vec<Inclusion>, LogError>>,
}

impl Log {
    /// Adds an entry and waits until it is durable and covered by a published checkpoint. Callers
    /// that come while another batch is being written share the next one.
    ///
    /// # Errors
    /// [`LogError::Entry`], also for one that is too long ([`LogError::Tlog`]); [`LogError::Notice`]
    /// for a notice, which [`append_notice`](Self::append_notice) takes: nothing was added.
    /// [`LogError::Io`]: the entry may appear in the log later, without anybody having an answer; to
    /// add it again does no harm.
    pub fn append(&self, entry: &Entry) -> Result<Inclusion, LogError> {
        let all = self.append_all(core::slice::from_ref(entry))?;
        let none = || LogError::damaged("an append gave no place");
        all.into_iter().next().ok_or_else(none)
    }

    /// Adds entries, side by side and in this order.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_all(&self, entries: &[Entry]) -> Result<Vec<Inclusion>, LogError> {
        if entries.iter().any(|e| matches!(e, Entry::Notice(_))) {
            return Err(LogError::notice(
                "it must be checked against the log; add it with append_notice",
            ));
        }
        self.append_unchecked(entries)
    }

    /// Adds a notice that readers will honour: for this log, signed by the service key that is in
    /// force at its end. One that they would not honour must never get into a log, because they
    /// stop at it. `service_key` is a pinned key of the service, of any time. Reads the whole log.
    ///
    /// # Errors
    /// [`LogError::NoticeSignature`], [`LogError::Notice`], the first problem of the log if it has
    /// any, and as [`append`](Self::append).
    pub fn append_notice(
        &self,
        notice: SignedNotice,
        service_key: &[u8; 32],
    ) -> Result<Inclusion, LogError> {
        // Between the check and the append no other notice may come in.
        let _one = lock(&self.notices);
        let reader = Reader::open(Folder::new(&self.public), &Policy::new(self.key.clone()))?;
        let scan = reader.scan(service_key)?;
        if let Some(problem) = scan.problems.into_iter().next() {
            return Err(problem.error);
        }
        scan.notices.would_honour(self.origin(), &notice)?;
        let all = self.append_unchecked(&[Entry::Notice(notice)])?;
        self.remember()?;
        let none = || LogError::damaged("an append gave no place");
        all.into_iter().next().ok_or_else(none)
    }

    pub(crate) fn append_unchecked(&self, entries: &[Entry]) -> Result<Vec<Inclusion>, LogError> {
        let entries: Vec<Vec<u8>> = entries
            .iter()
            .map(Entry::to_bytes)
            .collect::<Result<_, _>>()?;
        let bytes: usize = entries.iter().map(|e| e.len().saturating_add(2)).sum();
        if entries.len() > usize::from(intent::MAX_ENTRIES) || bytes > intent::MAX_BYTES {
            return Err(LogError::Entry {
                reason: "more than 4096 entries or 8 MiB at once; add them in parts".to_owned(),
            });
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let ticket = {
            let mut queue = lock(&self.queue);
            queue.tickets = queue.tickets.wrapping_add(1);
            let ticket = queue.tickets;
            queue.waiting.push((ticket, entries));
            ticket
        };
        // Whoever gets the writer first commits for all that wait.
        let mut writer = lock(&self.writer);
        loop {
            if let Some(result) = lock(&self.queue).done.remove(&ticket) {
                return result;
            }
            self.commit_waiting(&mut writer);
        }
    }

    fn commit_waiting(&self, writer: &mut Writer) {
        let taken = {
            let mut queue = lock(&self.queue);
            let count = first_batch(&queue.waiting);
            queue.waiting.drain(..count).collect::<Vec<_>>()
        };
        let (tickets, lists): (Vec<u64>, Vec<Vec<Vec<u8>>>) = taken.into_iter().unzip();
        let counts: Vec<usize> = lists.iter().map(Vec::len).collect();
        let result = writer.commit(lists.into_iter().flatten().collect());
        if writer.pending.is_none() {
            *lock(&self.head) = writer.head.clone();
        }
        let mut index = result.as_ref().map_or(0, |batch| batch.growth().old_size());
        let mut queue = lock(&self.queue);
        for (ticket, count) in tickets.into_iter().zip(counts) {
            let places = match &result {
                Ok(batch) => (0..count)
                    .map(|_| {
                        let place = place(batch, index);
                        index = index.saturating_add(1);
                        place
                    })
                    .collect(),
                Err(error) => Err(error.clone()),
            };
            queue.done.insert(ticket, places);
        }
    }
}

/// How many of those that wait fit into one batch; at least the first.
fn first_batch(waiting: &[(u64, Vec<Vec<u8>>)]) -> usize {
    let (mut entries, mut bytes) = (0_usize, 0_usize);
    let fitting = waiting.iter().take_while(|(_, list)| {
        entries = entries.saturating_add(list.len());
        bytes = bytes.saturating_add(list.iter().map(|e| e.len().saturating_add(2)).sum());
        entries <= usize::from(intent::MAX_ENTRIES) && bytes <= intent::MAX_BYTES
    });
    fitting.count().max(1).min(waiting.len())
}

fn place(batch: &Batch, index: u64) -> Result<Inclusion, LogError> {
    Ok(inclusion(index, batch.growth().prove(index)?, batch.head()))
}

// One entry always fits into a batch.
const _: () = assert!(MAX_ENTRY_BYTES + 2 <= intent::MAX_BYTES);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;
    use crate::log::testing::{copy, count, entries, entry, indices, open, verify};
    use crate::recovery::Recovery;

    #[test]
    fn many_threads_share_batches_and_each_gets_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        let seen = Mutex::new(BTreeSet::new());
        std::thread::scope(|scope| {
            for t in 0..8_u64 {
                let (log, seen) = (&log, &seen);
                scope.spawn(move || {
                    for i in 0..10 {
                        let entry = entry(t * 1000 + i);
                        let place = log.append(&entry).unwrap();
                        verify(log, &place, &entry);
                        assert!(seen.lock().unwrap().insert(place.index));
                    }
                });
            }
        });
        assert_eq!(*seen.lock().unwrap(), (0..80).collect::<BTreeSet<_>>());
        assert_eq!(indices(&log).into_iter().collect::<BTreeSet<_>>().len(), 80);
    }

    #[test]
    fn waiting_appends_are_taken_as_far_as_a_batch_reaches() {
        let list = |entries: usize, bytes: usize| (0, vec![vec![0; bytes]; entries]);
        let most = usize::from(intent::MAX_ENTRIES);
        assert_eq!(first_batch(&[]), 0);
        assert_eq!(first_batch(&[list(1, 1), list(2, 1)]), 2);
        assert_eq!(first_batch(&[list(most, 1), list(1, 1)]), 1);
        assert_eq!(
            first_batch(&[list(64, 65_535), list(64, 65_535), list(1, 1)]),
            1
        );
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        assert!(log.append_all(&entries(0..4097)).is_err());
        assert_eq!(log.append_all(&entries(0..4096)).unwrap().len(), 4096);
    }

    /// The process dies at every single operation on files in turn. After each death the public
    /// folder is a whole log, and the next start has everything that was acknowledged.
    #[test]
    fn no_instant_of_a_batch_loses_or_forks_anything() {
        let mut deaths = 0;
        // Into an empty log, within a tile, over the end of a tile.
        for before in [0, 5, 255] {
            let start = tempfile::tempdir().unwrap();
            let log = open(start.path()).unwrap();
            log.append_all(&entries(0..before)).unwrap();
            drop(log);
            for operation in 0.. {
                let folder = tempfile::tempdir().unwrap();
                copy(start.path(), folder.path());
                let log = open(folder.path()).unwrap();
                {
                    let writer = lock(&log.writer);
                    writer.state.fails_after.set(Some(operation));
                    writer
                        .public
                        .fails_after
                        .set(Some(operation.saturating_sub(8)));
                }
                let acknowledged = log.append_all(&entries(before..before + 3)).is_ok();
                // As a mirror would find it now.
                let visible = indices(&log);
                assert!(count(&visible) >= before);
                drop(log);
                let log = open(folder.path()).unwrap();
                let held = indices(&log);
                assert!(held.starts_with(&visible), "what was visible stays");
                assert!(count(&held) == before || count(&held) == before + 3);
                assert!(!acknowledged || count(&held) == before + 3);
                assert_eq!(held, (0..count(&held)).collect::<Vec<_>>());
                let place = log.append(&entry(count(&held))).unwrap();
                verify(&log, &place, &entry(count(&held)));
                drop(log);
                assert_eq!(
                    open(folder.path()).unwrap().recovery(),
                    &Recovery::default()
                );
                if acknowledged {
                    break;
                }
                deaths += 1;
            }
        }
        assert!(deaths > 60, "{deaths}");
    }

    #[test]
    fn a_failure_that_passes_is_made_good_by_the_next_append() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).unwrap();
        log.append(&entry(0)).unwrap();
        lock(&log.writer).public.fails_after.set(Some(2));
        let error = log.append(&entry(1)).unwrap_err();
        assert_eq!(error.code(), "log-io");
        assert_eq!(log.size(), 1, "nothing that is not published is shown");
        assert!(log.append(&entry(2)).is_err(), "still failing");
        lock(&log.writer).public.fails_after.set(None);
        let place = log.append(&entry(3)).unwrap();
        verify(&log, &place, &entry(3));
        assert_eq!(indices(&log), [0, 1, 3]);
    }
}
