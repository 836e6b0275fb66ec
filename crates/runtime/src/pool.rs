//! Several copies of one model's session, so that several threads can run it.
//!
//! The bindings let a session run once at a time (`run` takes `&mut self`, because parts of ONNX
//! Runtime are not thread-safe). A pool makes another copy when all are busy, up to a bound, and
//! lets callers wait beyond that.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ort::session::Session;

use crate::error::RuntimeError;

pub(crate) struct Pool {
    make: Box<dyn Fn() -> Result<Session, RuntimeError> + Send + Sync>,
    most: usize,
    state: Mutex<State>,
    returned: Condvar,
}

struct State {
    idle: Vec<Session>,
    /// Sessions that exist or are being made, idle or not.
    alive: usize,
}

impl Pool {
    /// A pool that holds `first` and makes more, `most` in all.
    pub(crate) fn new(
        first: Session,
        most: usize,
        make: impl Fn() -> Result<Session, RuntimeError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Box::new(make),
            most: most.max(1),
            state: Mutex::new(State {
                idle: vec![first],
                alive: 1,
            }),
            returned: Condvar::new(),
        }
    }

    /// Calls `work` with a session that nobody else uses meanwhile.
    pub(crate) fn with<R>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<R, RuntimeError>,
    ) -> Result<R, RuntimeError> {
        // On an error of `make` or a panic of `work` the place is given up, never leaked.
        let place = Place { pool: self };
        let mut session = match self.take() {
            Some(session) => session,
            None => (self.make)()?,
        };
        let result = work(&mut session);
        core::mem::forget(place);
        self.lock().idle.push(session);
        self.returned.notify_one();
        result
    }

    /// An idle session, or `None` once there is room to make one (then already counted).
    fn take(&self) -> Option<Session> {
        let mut state = self.lock();
        loop {
            if let Some(session) = state.idle.pop() {
                return Some(session);
            }
            if state.alive < self.most {
                state.alive += 1;
                return None;
            }
            state = self
                .returned
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements that hold the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the pool, given up when dropped.
struct Place<'a> {
    pool: &'a Pool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.lock().alive -= 1;
        self.pool.returned.notify_one();
    }
}
