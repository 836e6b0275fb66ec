//! What a command says, and how far long work has come.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use proofmark_engine::Progress;
use proofmark_verify::{Failure, printable};
use serde_json::Value;

/// Where and how a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON object on stdout instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints the result: the object under `--json`, else the text.
    pub(crate) fn result(self, object: &Value, text: &str) -> Result<(), Failure> {
        if self.json {
            line(&object.to_string())
        } else {
            line(&printable(text))
        }
    }

    /// Tells people on stderr what happens; programs are not told.
    pub(crate) fn note(self, text: &str) {
        if !self.json {
            // Nothing can be done about a closed stderr, and nothing depends on it.
            drop(writeln!(io::stderr().lock(), "{}", printable(text)));
        }
    }

    /// Bars on stderr when someone looks at it.
    pub(crate) fn bars(self) -> Bars {
        Bars::new(!self.json && io::stderr().is_terminal())
    }
}

/// Prints one line on stdout at once.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::environment("output-closed", error.to_string()))
}

/// One progress bar a stage; none when nobody looks.
pub(crate) struct Bars {
    all: MultiProgress,
    stages: Mutex<BTreeMap<&'static str, ProgressBar>>,
    visible: bool,
}

impl Bars {
    fn new(visible: bool) -> Self {
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            all: MultiProgress::with_draw_target(target),
            stages: Mutex::new(BTreeMap::new()),
            visible,
        }
    }

    /// A spinner for work whose length is not known; it ends when it is dropped.
    pub(crate) fn spinner(&self, text: &'static str) -> Spinner {
        let bar = self.all.add(ProgressBar::new_spinner());
        if self.visible {
            bar.set_message(text);
            bar.enable_steady_tick(std::time::Duration::from_millis(100));
        }
        Spinner(bar)
    }
}

impl Progress for Bars {
    fn stage(&self, name: &'static str, done: u64, total: u64) {
        if !self.visible {
            return;
        }
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = stages.entry(name).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(total));
            let template = "{msg:18} {wide_bar} {percent:>3} % {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(name);
            bar
        });
        bar.set_position(done);
        if done >= total {
            bar.finish_and_clear();
        }
    }
}

/// A spinner that is cleared when the work is done.
pub(crate) struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let count_float = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count_float / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count_float / 1e6),
        _ => format!("{:.2} GB", count_float / 1e9),
    }
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as people read them.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.001 {
        format!("{:.0} µs", value * 1e6)
    } else if value < 1.0 {
        format!("{:.1} ms", value * 1e3)
    } else {
        format!("{value:.2} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_340), "12.3 kB");
        assert_eq!(bytes(2_500_000_000), "2.50 GB");
        assert_eq!(seconds(0.000_25), "250 µs");
        assert_eq!(seconds(0.0421), "42.1 ms");
        assert_eq!(seconds(1.5), "1.50 s");
    }

    #[test]
    fn hidden_bars_take_every_stage() {
        let bars = Bars::new(false);
        bars.stage("a", 0, 10);
        bars.stage("a", 10, 10);
        drop(bars.spinner("b"));
        assert!(bars.stages.lock().unwrap().is_empty());
    }
}
