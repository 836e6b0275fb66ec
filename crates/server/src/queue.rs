//! The bounded queue of proving work.
//!
//! Waiting items are refused, taken back and failed under one lock, so each item that was accepted
//! is either handed to a worker or dropped, once. An item that is dropped unworked tells whoever
//! waits for it by the channel it carries.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Weight of the newest duration in a class's running mean.
const NEWEST: f64 = 0.2;
/// What a class is taken to last before its first item is done, in seconds.
const UNKNOWN_SECONDS: f64 = 1.0;
/// Largest `Retry-After` that is given, in seconds.
const MAX_RETRY_AFTER: u64 = 600;

/// A bounded first-in first-out queue between request handlers and worker threads.
///
/// Every item is of a class (here: a model), whose items last about equally long.
pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    /// Something to do for the workers: an item, or the end.
    work: Condvar,
    /// The last item is done.
    idle: Notify,
    capacity: usize,
    workers: usize,
}

struct Inner<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Items being worked on, by class.
    running: Vec<u32>,
    /// Running mean of the seconds an item of a class takes.
    seconds: Vec<Option<f64>>,
    next_ticket: u64,
    phase: Phase,
}

struct Waiting<T> {
    ticket: u64,
    class: usize,
    item: T,
}

/// What the queue still does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything.
    Open,
    /// It takes nothing new and works off what it has.
    Draining,
    /// It has dropped what waited; what runs is on its own.
    Aborted,
}

/// Why an item was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many items wait as may; a place should be free in so many seconds.
    Full { retry_after: u64 },
    /// The queue takes nothing new.
    Closed,
}

impl<T> Queue<T> {
    /// An empty queue for `classes` classes.
    pub(crate) fn new(capacity: usize, workers: usize, classes: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                waiting: VecDeque::with_capacity(capacity),
                running: vec![0; classes],
                seconds: vec![None; classes],
                next_ticket: 0,
                phase: Phase::Open,
            }),
            work: Condvar::new(),
            idle: Notify::new(),
            capacity,
            workers: workers.max(1),
        }
    }

    /// The state. A panic while the lock is held cannot happen in this file; if it did, the state
    /// would still be whole after each statement, so it is used on.
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an item would be accepted now; said before a request's body is read.
    pub(crate) fn would_accept(&self) -> Result<(), Refusal> {
        self.check(&self.lock())
    }

    fn check(&self, inner: &Inner<T>) -> Result<(), Refusal> {
        if inner.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        if inner.waiting.len() >= self.capacity {
            let retry_after = self.estimate(inner);
            return Err(Refusal::Full { retry_after });
        }
        Ok(())
    }

    /// Seconds until about half of the queue is worked off: 1 … [`MAX_RETRY_AFTER`]. Half, so that
    /// whoever comes back finds room and the workers find work.
    fn estimate(&self, inner: &Inner<T>) -> u64 {
        let seconds = |class: usize| {
            let known = inner.seconds.get(class).copied().flatten();
            known.unwrap_or(UNKNOWN_SECONDS)
        };
        let waiting: f64 = inner.waiting.iter().map(|w| seconds(w.class)).sum();
        let running: f64 = inner
            .running
            .iter()
            .enumerate()
            .map(|(class, n)| f64::from(*n) * seconds(class))
            .sum();
        let workers = u32::try_from(self.workers).map_or(f64::INFINITY, f64::from);
        let estimate = Duration::try_from_secs_f64(f64::midpoint(waiting, running) / workers)
            .unwrap_or(Duration::from_secs(MAX_RETRY_AFTER));
        let whole = estimate.as_secs() + u64::from(estimate.subsec_nanos() > 0);
        whole.clamp(1, MAX_RETRY_AFTER)
    }

    /// Accepts an item, or says why not and drops it.
    ///
    /// The ticket takes the item back when it is dropped before a worker has it.
    pub(crate) fn push(self: &Arc<Self>, class: usize, item: T) -> Result<Ticket<T>, Refusal> {
        let mut inner = self.lock();
        self.check(&inner)?;
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        inner.waiting.push_back(Waiting {
            ticket,
            class,
            item,
        });
        drop(inner);
        self.work.notify_one();
        Ok(Ticket {
            queue: Arc::clone(self),
            ticket,
        })
    }

    /// The next item, when there is one; `None` when there will never be one again. Blocks the
    /// thread meanwhile. The item counts as running until the guard is dropped.
    pub(crate) fn pop(self: &Arc<Self>) -> Option<(T, Running<T>)> {
        let mut inner = self.lock();
        loop {
            if let Some(next) = inner.waiting.pop_front() {
                if let Some(n) = inner.running.get_mut(next.class) {
                    *n += 1;
                }
                let running = Running {
                    queue: Arc::clone(self),
                    class: next.class,
                };
                return Some((next.item, running));
            }
            if inner.phase != Phase::Open {
                return None;
            }
            inner = self
                .work
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells how long an item of a class took.
    pub(crate) fn learn(&self, class: usize, took: Duration) {
        if let Some(mean) = self.lock().seconds.get_mut(class) {
            let new = took.as_secs_f64();
            *mean = Some(mean.map_or(new, |old| (new - old).mul_add(NEWEST, old)));
        }
    }

    /// Takes nothing new from here on.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        if inner.phase == Phase::Open {
            inner.phase = Phase::Draining;
        }
        drop(inner);
        self.work.notify_all();
    }

    /// Takes nothing new and drops what waits.
    pub(crate) fn abort(&self) {
        let mut inner = self.lock();
        inner.phase = Phase::Aborted;
        let dropped = std::mem::take(&mut inner.waiting);
        drop(inner);
        // Items are dropped outside the lock: dropping one may run code of others.
        drop(dropped);
        self.work.notify_all();
        self.idle.notify_waiters();
    }

    /// What the queue still does.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Items that wait, and items being worked on.
    pub(crate) fn depth(&self) -> (usize, u32) {
        let inner = self.lock();
        (inner.waiting.len(), inner.running.iter().sum())
    }

    /// Returns when nothing waits and nothing runs.
    pub(crate) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            tokio::pin!(notified);
            // Registered before the look, so that no wake-up falls between the two.
            notified.as_mut().enable();
            if self.depth() == (0, 0) {
                return;
            }
            notified.await;
        }
    }

    fn note_if_idle(&self) {
        if self.depth() == (0, 0) {
            self.idle.notify_waiters();
        }
    }
}

/// The place of an item in the queue.
pub(crate) struct Ticket<T> {
    queue: Arc<Queue<T>>,
    ticket: u64,
}

impl<T> Ticket<T> {
    /// Takes the item back; whether it was still waiting.
    pub(crate) fn withdraw(&self) -> bool {
        let mut inner = self.queue.lock();
        // Tickets are issued in order and stay in order.
        let place = inner
            .waiting
            .binary_search_by_key(&self.ticket, |w| w.ticket);
        let item = place.ok().and_then(|place| inner.waiting.remove(place));
        drop(inner);
        if item.is_some() {
            self.queue.note_if_idle();
        }
        item.is_some()
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

/// An item is being worked on while this lives.
pub(crate) struct Running<T> {
    queue: Arc<Queue<T>>,
    class: usize,
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if let Some(n) = self.queue.lock().running.get_mut(self.class) {
            *n = n.saturating_sub(1);
        }
        self.queue.note_if_idle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: usize, workers: usize) -> Arc<Queue<u32>> {
        Arc::new(Queue::new(capacity, workers, 2))
    }

    #[test]
    fn first_in_first_out_and_never_more_than_its_capacity() {
        let queue = queue(2, 1);
        let tickets: Vec<_> = (0..2).map(|k| queue.push(0, k).ok().unwrap()).collect();
        assert_eq!(
            queue.push(0, 9).err(),
            Some(Refusal::Full { retry_after: 1 })
        );
        let (first, running) = queue.pop().unwrap();
        assert_eq!(first, 0);
        assert_eq!(queue.depth(), (1, 1));
        let third = queue.push(0, 2).ok().unwrap();
        assert!(queue.would_accept().is_err());
        drop(running);
        assert_eq!(queue.pop().unwrap().0, 1);
        assert_eq!(queue.pop().unwrap().0, 2);
        assert!(!third.withdraw());
        drop(tickets);
        assert_eq!(queue.depth(), (0, 0));
    }

    #[test]
    fn a_dropped_ticket_takes_its_item_and_no_other() {
        let queue = queue(4, 1);
        let a = queue.push(0, 0).ok().unwrap();
        let b = queue.push(0, 1).ok().unwrap();
        let c = queue.push(0, 2).ok().unwrap();
        drop(b);
        assert_eq!(queue.pop().unwrap().0, 0);
        drop(a);
        assert!(c.withdraw());
        assert!(!c.withdraw());
        assert_eq!(queue.depth(), (0, 0));
    }

    #[test]
    fn the_estimate_follows_what_was_measured() {
        let queue = queue(4, 2);
        queue.learn(0, Duration::from_secs(10));
        queue.learn(1, Duration::from_secs(100));
        let _tickets: Vec<_> = [0, 0, 1, 1]
            .map(|class| queue.push(class, 0).ok().unwrap())
            .into();
        // (10 + 10 + 100 + 100) / 2 workers / 2 = 55
        assert_eq!(queue.would_accept(), Err(Refusal::Full { retry_after: 55 }));
        queue.learn(1, Duration::from_secs(1_000_000));
        assert_eq!(
            queue.would_accept(),
            Err(Refusal::Full {
                retry_after: MAX_RETRY_AFTER
            })
        );
    }

    #[test]
    fn closing_works_off_and_aborting_drops() {
        let queue = queue(4, 1);
        let _a = queue.push(0, 0).ok().unwrap();
        queue.close();
        assert_eq!(queue.push(0, 1).err(), Some(Refusal::Closed));
        assert_eq!(queue.pop().map(|(item, _)| item), Some(0));
        assert!(queue.pop().is_none());

        let queue = self::queue(4, 1);
        let _a = queue.push(0, 0).ok().unwrap();
        queue.abort();
        assert!(queue.pop().is_none());
        queue.close();
        assert_eq!(queue.phase(), Phase::Aborted);
    }

    #[test]
    fn a_waiting_worker_is_woken_by_the_end() {
        let queue = queue(1, 1);
        let worker = {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || queue.pop().is_none())
        };
        queue.close();
        assert!(worker.join().unwrap());
    }

    #[tokio::test]
    async fn idle_waits_for_what_waits_and_what_runs() {
        let queue = queue(4, 1);
        queue.idle().await;
        let ticket = queue.push(0, 0).ok().unwrap();
        let soon = Duration::from_millis(30);
        assert!(tokio::time::timeout(soon, queue.idle()).await.is_err());
        let running = queue.pop().unwrap().1;
        assert!(tokio::time::timeout(soon, queue.idle()).await.is_err());
        let waiter = {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.idle().await })
        };
        tokio::task::yield_now().await;
        drop(running);
        waiter.await.unwrap();
        drop(ticket);
    }

    #[test]
    fn many_threads_lose_and_repeat_nothing() {
        let queue = queue(1000, 4);
        let popped: Vec<u32> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut items = Vec::new();
                        while let Some((item, _running)) = queue.pop() {
                            items.push(item);
                        }
                        items
                    })
                })
                .collect();
            let producers: Vec<_> = (0..4)
                .map(|p| {
                    let queue = &queue;
                    scope.spawn(move || {
                        let tickets: Vec<_> = (0..250)
                            .map(|k| (queue.push(0, p * 1000 + k).ok().unwrap(), k))
                            .collect();
                        let withdrawn = tickets
                            .iter()
                            .filter(|(ticket, k)| k % 3 == 0 && ticket.withdraw())
                            .count();
                        // The rest is left to the workers.
                        for (ticket, _) in tickets {
                            std::mem::forget(ticket);
                        }
                        withdrawn
                    })
                })
                .collect();
            let withdrawn: usize = producers.into_iter().map(|p| p.join().unwrap()).sum();
            queue.close();
            let popped: Vec<u32> = workers
                .into_iter()
                .flat_map(|w| w.join().unwrap())
                .collect();
            assert_eq!(popped.len() + withdrawn, 1000);
            popped
        });
        let distinct: std::collections::BTreeSet<_> = popped.iter().collect();
        assert_eq!(distinct.len(), popped.len());
    }
}
