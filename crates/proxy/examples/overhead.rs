//! What a proxy adds to the time of an answer: asks a service directly and through a proxy by turns.
//!
//! `cargo run --release -p proofmark-proxy --example overhead -- SERVICE PROXY MODEL [TIMES]`

use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, proxy, model, times @ ..] = arguments.as_slice() else {
        return Err("give SERVICE PROXY MODEL [TIMES]".into());
    };
    let times = times.first().map_or(Ok(50), |times| times.parse())?;
    let agent = ureq::Agent::new_with_defaults();
    let text = agent
        .get(format!("{service}/v2/models/{model}"))
        .call()?
        .body_mut()
        .read_to_string()?;
    let metadata: Value = serde_json::from_str(&text)?;
    let inputs: Vec<Value> = metadata["inputs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|input| {
            let shape = input["shape"].as_array().into_iter().flatten();
            let count: u64 = shape.filter_map(Value::as_u64).product();
            let data: Vec<u8> = (0..count).map(|_| 0).collect();
            json!({
                "name": input["name"],
                "shape": input["shape"],
                "datatype": input["datatype"],
                "data": data,
            })
        })
        .collect();
    let body = json!({ "inputs": inputs }).to_string();
    let ask = |url: &str| -> Result<Duration, ureq::Error> {
        let begun = Instant::now();
        agent
            .post(format!("{url}/v2/models/{model}/infer"))
            .header("content-type", "application/json")
            .send(body.as_str())?
            .body_mut()
            .read_to_vec()?;
        Ok(begun.elapsed())
    };
    for url in [service, proxy] {
        ask(url)?;
    }
    let mut taken = [Vec::new(), Vec::new()];
    for _ in 0..times {
        for (url, taken) in [service, proxy].into_iter().zip(&mut taken) {
            taken.push(ask(url)?);
        }
    }
    let [direct, proxied] = taken.map(|mut taken| {
        taken.sort_unstable();
        let median = taken.get(taken.len() / 2).copied().unwrap_or_default();
        median.as_secs_f64() * 1e3
    });
    writeln!(
        std::io::stdout(),
        "{model}, medians of {times}: direct {direct:.1} ms, through the proxy {proxied:.1} ms, added {:.1} ms",
        proxied - direct
    )?;
    Ok(())
}
