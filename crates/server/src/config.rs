//! What an operator can set.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::ServerError;
use crate::origins::is_origin;

/// Settings of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Requests that may wait for a worker. One more is answered `429`.
    pub queue_capacity: usize,
    /// Proofs made at the same time. A proof uses all cores by itself, so more than one worker
    /// evens out short and long proofs and costs memory.
    pub workers: usize,
    /// Largest request body in bytes. All bodies together take at most 16 times as much memory.
    pub body_limit: usize,
    /// Time for a whole request body to arrive.
    pub body_timeout: Duration,
    /// Deadline of a request that names none in `Request-Timeout`.
    pub default_deadline: Duration,
    /// Largest deadline a request may ask for.
    pub max_deadline: Duration,
    /// Time that a shutdown leaves to what was accepted before it.
    pub drain_timeout: Duration,
    /// What `receipt_url` begins with, without a slash at the end; empty for a path on this host.
    pub public_url: String,
    /// Origins whose pages may ask this service from a browser, such as `https://app.example`; `*` for
    /// all. The page that the service serves itself needs none.
    pub allowed_origins: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            queue_capacity: 64,
            workers: 1,
            body_limit: 16 << 20,
            body_timeout: Duration::from_secs(30),
            default_deadline: Duration::from_mins(1),
            max_deadline: Duration::from_mins(30),
            drain_timeout: Duration::from_secs(30),
            public_url: String::new(),
            allowed_origins: Vec::new(),
        }
    }
}

impl ServerConfig {
    /// Checks that every setting makes sense.
    ///
    /// # Errors
    /// [`ServerError::Config`] with the first setting that does not.
    pub fn validate(&self) -> Result<(), ServerError> {
        let refuse = |setting, reason| Err(ServerError::Config { setting, reason });
        if self.queue_capacity == 0 || self.queue_capacity > 100_000 {
            return refuse("queue_capacity", "it must be 1 to 100000");
        }
        if self.workers == 0 || self.workers > 1024 {
            return refuse("workers", "it must be 1 to 1024");
        }
        if !(1024..=1 << 30).contains(&self.body_limit) {
            return refuse("body_limit", "it must be 1 KiB to 1 GiB");
        }
        if self.default_deadline.is_zero() || self.default_deadline > self.max_deadline {
            return refuse(
                "default_deadline",
                "it must be above 0 and at most max_deadline",
            );
        }
        if self.max_deadline > Duration::from_hours(24) {
            return refuse("max_deadline", "it must be at most a day");
        }
        if self.body_timeout.is_zero() {
            return refuse("body_timeout", "it must be above 0");
        }
        if !self.allowed_origins.iter().all(|one| is_origin(one)) {
            return refuse(
                "allowed_origins",
                "an origin is http:// or https:// and a host in lower case, with its port and without a path",
            );
        }
        Ok(())
    }
}
