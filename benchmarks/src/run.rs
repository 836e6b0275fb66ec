//! The benchmark: model by model, the systems side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::catalogue;
use crate::machine::Place;
use crate::process::Limits;
use crate::results::{self, Row, Status};
use crate::scaling;
use crate::systems::{Bench, Prepared, System, Trial};
use crate::{plot, report, say};

/// Where results are kept that are recorded.
pub(crate) const RECORDED: &str = "benchmarks/results";

/// What to measure, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Models by name, and the sets core, third-party and all
    #[arg(long, value_delimiter = ',', default_value = "all")]
    models: Vec<String>,
    /// Systems
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = System::ALL)]
    systems: Vec<System>,
    /// The risk classifier, plain and stock, three proofs each: that everything works
    #[arg(long)]
    quick: bool,
    /// Measure the scaling curves instead: activations, weights, cores
    #[arg(long)]
    scaling: bool,
    /// Proofs of each round; a round's first is not counted
    #[arg(long, default_value_t = 6)]
    runs: usize,
    /// Rounds, in which the quick systems take turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds after which a round begins no further proof
    #[arg(long, default_value_t = 60)]
    budget: u64,
    /// Seconds that a step may take
    #[arg(long, default_value_t = 1200)]
    time_limit: u64,
    /// GiB that a step may take
    #[arg(long, default_value_t = 17.0)]
    memory_limit: f64,
    /// MiB of memory for precomputed multiples, for the systems that have them
    #[arg(long, default_value_t = 1024)]
    table_memory: u64,
    /// Keep the results in benchmarks/results and show them in BENCHMARKS.md
    #[arg(long)]
    record: bool,
    /// Measure nothing: show, and with --record keep, what an earlier run wrote
    #[arg(long, value_name = "CSV")]
    from: Option<PathBuf>,
    /// Working folder
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

/// Runs the benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut options = options.clone();
    if options.quick {
        options.models = vec!["risk-classifier".to_owned()];
        options.systems = vec![System::Plain, System::Stock];
        (options.runs, options.rounds) = (3, 1);
    }
    let options = &options;
    fs::create_dir_all(&options.work)?;
    let bench = Bench {
        program: std::env::current_exe()?,
        work: std::path::absolute(&options.work)?,
        limits: Limits {
            time: Duration::from_secs(options.time_limit),
            memory: bytes(options.memory_limit)?,
        },
        runs: options.runs.max(1),
        budget: options.budget,
        table_bytes: options.table_memory << 20,
        cores: None,
    };
    let place = Place::here()?;
    say(&format!("{}\n{}", place.date, place.machine))?;
    let rows = match &options.from {
        Some(file) => results::read(file)?,
        None if options.scaling => {
            let systems: Vec<System> = (options.systems.iter().copied())
                .filter(|&s| options.systems.len() < System::ALL.len() || scales(s))
                .collect();
            scaling::measure(&bench, &place, &systems, options.rounds)?
        }
        None => measure(&bench, &place, options)?,
    };
    let place = rows.first().map_or(place, Place::of);
    if options.scaling {
        return scaling::show(&options.work, &rows, &place, options.record);
    }
    let pictures = [
        ("proving", plot::proving(&rows)),
        ("memory", plot::memory(&rows)),
        ("keys", plot::keys(&rows)),
    ];
    let text = report::results(&rows, &place);
    say(&format!("\n{text}"))?;
    publish(&options.work, "results", &rows, &pictures)?;
    if options.record {
        let name = place.date.clone();
        publish(Path::new(RECORDED), &name, &rows, &pictures)?;
        report::replace("results", &format!("{text}\n{}", links(&name, &pictures)))?;
        say("recorded in benchmarks/results and BENCHMARKS.md")?;
    }
    Ok(())
}

fn measure(bench: &Bench, place: &Place, options: &Options) -> Result<Vec<Row>> {
    let file = options.work.join("results.csv");
    let (systems, rounds) = (&options.systems, options.rounds);
    let mut rows = Vec::new();
    for entry in catalogue::select(&options.models)? {
        rows.extend(model(bench, place, &entry.name, systems, rounds)?);
        // What has been measured is kept, whatever comes.
        results::write(&file, &rows)?;
    }
    Ok(rows)
}

/// Whether a system is measured for the scaling curves when none is named.
fn scales(system: System) -> bool {
    matches!(
        system,
        System::Plain | System::Lookup | System::LookupTables
    )
}

fn bytes(gibibytes: f64) -> Result<u64> {
    let mebibytes = Duration::try_from_secs_f64(gibibytes * 1024.0)
        .context("--memory-limit is a number of GiB")?;
    Ok(mebibytes.as_secs() << 20)
}

/// All systems on one model. A failure is a line, not an end.
pub(crate) fn model(
    bench: &Bench,
    place: &Place,
    name: &str,
    systems: &[System],
    rounds: usize,
) -> Result<Vec<Row>> {
    say(&format!("{name}: import"))?;
    let mut template = Row {
        date: place.date.clone(),
        commit: place.commit.clone(),
        machine: place.machine.clone(),
        threads: bench.cores.unwrap_or(place.cores),
        model: name.to_owned(),
        ..Row::default()
    };
    let prepared = match Prepared::new(bench, name) {
        Ok(prepared) => prepared,
        Err(reason) => {
            say(&format!("  {reason}"))?;
            template.status = Status::Failed;
            template.reason = reason;
            let failed = |system: &System| Row {
                system: system.name().to_owned(),
                ..template.clone()
            };
            return Ok(systems.iter().map(failed).collect());
        }
    };
    template.parameters = Some(prepared.report.parameters);
    template.activations = Some(prepared.report.activations).filter(|count| *count > 0);
    let mut trials = Vec::new();
    for &system in systems {
        say(&format!("{name}: {}, setup", system.name()))?;
        trials.push(Trial::set_up(bench, &prepared, system, &template));
    }
    for round in 1..=rounds.max(1) {
        say(&format!("{name}: proofs, round {round}"))?;
        for trial in trials.iter_mut().filter(|trial| trial.goes_on()) {
            trial.prove();
        }
    }
    let rows: Vec<Row> = trials.into_iter().map(Trial::finish).collect();
    for row in &rows {
        say(&format!("  {}", report::line(row)))?;
    }
    Ok(rows)
}

/// Writes a CSV file and its pictures.
pub(crate) fn publish(
    folder: &Path,
    name: &str,
    rows: &[Row],
    pictures: &[(&str, String)],
) -> Result<()> {
    fs::create_dir_all(folder)?;
    results::write(&folder.join(format!("{name}.csv")), rows)?;
    for (what, picture) in pictures {
        fs::write(folder.join(format!("{name}-{what}.svg")), picture)?;
    }
    Ok(())
}

/// Links of `BENCHMARKS.md` to recorded files.
pub(crate) fn links(name: &str, pictures: &[(&str, String)]) -> String {
    let mut text = format!("\nAll figures: [`{name}.csv`]({RECORDED}/{name}.csv)\n");
    text.extend(
        pictures
            .iter()
            .map(|(what, _)| format!("\n![{what}]({RECORDED}/{name}-{what}.svg)\n")),
    );
    text
}
