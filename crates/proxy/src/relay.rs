//! One provider after the other, until an answer verifies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proofmark_http::problem::Problem;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use crate::judge::{Proven, Question};
use crate::provider::{Failed, Provider, Until};
use crate::service::Shared;
use crate::standing::Blame;

/// The providers in the order in which they are asked: first those that are not put aside, as they
/// were configured; then those that did not answer lately, the soonest to return first. Whoever
/// gave an answer that does not verify is left out until its time is over.
pub(crate) fn order(providers: &[Arc<Provider>], now: Instant) -> Vec<Arc<Provider>> {
    let mut late = Vec::new();
    let mut order = Vec::new();
    for provider in providers {
        match provider.aside(now) {
            None => order.push(Arc::clone(provider)),
            Some(aside) if aside.blame == Blame::Outage => {
                late.push((aside.until, Arc::clone(provider)));
            }
            Some(_) => {}
        }
    }
    late.sort_by_key(|(until, _)| *until);
    order.extend(late.into_iter().map(|(_, provider)| provider));
    order
}

/// Asks until an answer verifies. Whoever drops this asks nobody further.
pub(crate) async fn relay(
    shared: &Arc<Shared>,
    question: Arc<Question>,
    place: OwnedSemaphorePermit,
    deadline: Instant,
) -> Result<(Arc<Provider>, Proven), Problem> {
    let place = Arc::new(place);
    let mut failures = Vec::new();
    for provider in order(&shared.providers, Instant::now()) {
        let now = Instant::now();
        let whole = now + shared.config.provider_timeout;
        let until = Until {
            instant: whole.min(deadline),
            whole: whole <= deadline,
        };
        let span = tracing::Span::current();
        let task = {
            let (shared, question) = (Arc::clone(shared), Arc::clone(&question));
            let (provider, place) = (Arc::clone(&provider), Arc::clone(&place));
            move || {
                // The place is taken until nothing is done for the request any more.
                let _place = place;
                let _entered = span.entered();
                let asked = provider.ask(&question, shared.receipts.as_ref(), until);
                settle(&shared, &provider, &asked);
                asked
            }
        };
        let asked = spawn_blocking(task)
            .await
            .map_err(|error| Problem::panicked(error.to_string()))?;
        match asked {
            Ok(proven) => return Ok((provider, proven)),
            Err(Failed::Own(problem)) => return Err(problem),
            Err(Failed::Late) => return Err(too_late()),
            Err(failed) => failures.push(failed),
        }
    }
    Err(nobody(&failures, &shared.providers))
}

/// Remembers and tells how an attempt ended.
fn settle(shared: &Shared, provider: &Provider, asked: &Result<Proven, Failed>) {
    let now = Instant::now();
    let Err(failed) = asked else {
        provider.standing().good(now);
        shared.metrics.attempt(&provider.url, "verified");
        return;
    };
    let (code, cause) = (failed.code(), failed.cause());
    shared.metrics.attempt(&provider.url, code);
    let aside = failed.blame().map(|blame| {
        let until = provider.standing().bad(now, blame);
        (
            blame,
            until.saturating_duration_since(now).as_secs_f64().ceil(),
        )
    });
    match aside {
        Some((Blame::Lie, seconds)) => tracing::error!(
            provider.url = provider.url,
            provider.aside_s = seconds,
            code,
            cause,
            "AN ANSWER DOES NOT VERIFY: it was not passed on, and the provider is put aside"
        ),
        Some((Blame::Outage, seconds)) => tracing::warn!(
            provider.url = provider.url,
            provider.aside_s = seconds,
            code,
            cause,
            "a provider gave no answer and is put aside"
        ),
        None => tracing::info!(
            provider.url = provider.url,
            code,
            cause,
            "a provider gave no answer"
        ),
    }
}

pub(crate) fn too_late() -> Problem {
    Problem::client(
        "deadline-exceeded",
        "the request's time was up before an answer was there that verifies; allow more with \
         Request-Timeout",
    )
}

/// What the client is told when nobody gave an answer that verifies. Of what providers said there are
/// only codes of ours in it.
fn nobody(failures: &[Failed], providers: &[Arc<Provider>]) -> Problem {
    let now = Instant::now();
    let aside = providers.iter().filter_map(|provider| provider.aside(now));
    let soonest = aside.map(|aside| aside.until.saturating_duration_since(now));
    let soonest = soonest.min().unwrap_or(Duration::from_secs(1));
    let seconds = soonest.as_secs().saturating_add(1);
    let codes = |failures: &[&Failed]| {
        let mut codes: Vec<_> = failures.iter().map(|failed| failed.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes.join(", ")
    };
    // What is wrong with the request is wrong with the next provider too, and every later time.
    for failed in failures {
        if let Failed::Refused { code } = failed {
            return Problem::client(
                code,
                "no provider takes this request; the code says what one of them finds wrong with it",
            );
        }
    }
    let lies: Vec<&Failed> = failures
        .iter()
        .filter(|failed| failed.blame() == Some(Blame::Lie))
        .collect();
    if !lies.is_empty() || failures.is_empty() {
        let detail = if failures.is_empty() {
            format!(
                "every provider is put aside, because answers did not verify; try again in {seconds} s"
            )
        } else {
            format!(
                "no provider gave an answer that verifies ({}), and none that does not is passed on",
                codes(&lies)
            )
        };
        return Problem::client("answer-unverified", detail).retry_after(seconds);
    }
    let busy = failures.iter().filter_map(|failed| match failed {
        Failed::Busy { retry_after } => Some(*retry_after),
        _ => None,
    });
    if let Some(seconds) = busy.min() {
        let detail = format!("every provider has too much to do; try again in {seconds} s");
        return Problem::client("queue-full", detail).retry_after(seconds);
    }
    let all: Vec<&Failed> = failures.iter().collect();
    Problem::client(
        "service-unreachable",
        format!("no provider gives an answer now ({})", codes(&all)),
    )
    .retry_after(seconds)
}

#[cfg(test)]
mod tests {
    use crate::config::ProviderConfig;

    use super::*;

    fn provider(url: &str) -> Arc<Provider> {
        let config = ProviderConfig {
            url: url.to_owned(),
            service_key: None,
            log: None,
        };
        Arc::new(Provider::open(&config, None).unwrap())
    }

    #[test]
    fn those_who_failed_come_last_and_those_who_lied_not_at_all() {
        let all = ["a", "b", "c", "d"].map(provider);
        let now = Instant::now();
        all[0].standing().bad(now, Blame::Outage);
        let until = all[0].aside(now).unwrap().until;
        all[0].standing().bad(until, Blame::Outage);
        all[1].standing().bad(now, Blame::Lie);
        all[2].standing().bad(now, Blame::Outage);
        let urls = |now| -> Vec<String> {
            let order = order(&all, now);
            order.iter().map(|provider| provider.url.clone()).collect()
        };
        assert_eq!(urls(now), ["d", "c", "a"]);
        assert_eq!(urls(now + Duration::from_mins(1)), ["a", "b", "c", "d"]);
    }

    #[test]
    fn the_worst_that_happened_is_told() {
        let lie = || Failed::Lie {
            code: "proof-invalid",
            cause: "<secret>".to_owned(),
        };
        let outage = || Failed::Outage {
            code: "service-unreachable",
            cause: "<secret>".to_owned(),
        };
        let busy = || Failed::Busy { retry_after: 7 };
        let refused = || Failed::Refused {
            code: "input-overflow",
        };
        let absent = || Failed::Absent {
            code: "model-unknown",
        };
        for (failures, code, status) in [
            (vec![lie(), outage(), busy()], "answer-unverified", 502),
            (vec![], "answer-unverified", 502),
            (vec![outage(), busy()], "queue-full", 429),
            (vec![outage(), absent()], "service-unreachable", 503),
            (vec![absent()], "service-unreachable", 503),
            (vec![lie(), refused()], "input-overflow", 400),
        ] {
            let problem = nobody(&failures, &[provider("a")]);
            assert_eq!(problem.code(), code, "{failures:?}");
            assert_eq!(problem.status().as_u16(), status, "{failures:?}");
            let text = String::from_utf8(problem.to_bytes("r")).unwrap();
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
