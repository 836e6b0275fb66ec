//! The scaling curves: what proving takes as activations, weights and cores grow.

use anyhow::Result;

use crate::machine::Place;
use crate::networks::{DEPTHS, GROUPS, depth_name, groups_name};
use crate::plot::{self, Chart, Series};
use crate::results::{Row, number};
use crate::run::{RECORDED, links, model, publish};
use crate::systems::{Bench, System};
use crate::{report, say};
use std::path::Path;

/// The model of the curve over cores.
const FOR_CORES: &str = "lenet5-mnist";

/// Measures the curves.
pub(crate) fn measure(
    bench: &Bench,
    place: &Place,
    systems: &[System],
    rounds: usize,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let file = bench.work.join("scaling.csv");
    let names = DEPTHS
        .map(depth_name)
        .into_iter()
        .chain(GROUPS.map(groups_name));
    for name in names {
        rows.extend(model(bench, place, &name, systems, rounds)?);
        crate::results::write(&file, &rows)?;
    }
    for cores in 1..=place.cores {
        let limited = Bench {
            cores: Some(cores),
            ..bench.clone()
        };
        rows.extend(model(&limited, place, FOR_CORES, systems, rounds)?);
        crate::results::write(&file, &rows)?;
    }
    Ok(rows)
}

/// Shows the curves, and keeps them if that is wanted.
pub(crate) fn show(work: &Path, rows: &[Row], place: &Place, record: bool) -> Result<()> {
    let pictures = pictures(rows);
    let text = report::scaling(rows, place);
    say(&format!("\n{text}"))?;
    publish(work, "scaling", rows, &pictures)?;
    if record {
        let name = format!("{}-scaling", place.date);
        publish(Path::new(RECORDED), &name, rows, &pictures)?;
        report::replace("scaling", &format!("{text}\n{}", links(&name, &pictures)))?;
        say("recorded in benchmarks/results and BENCHMARKS.md")?;
    }
    Ok(())
}

/// Which curve a row belongs to, and its place on it.
pub(crate) fn place_on_curve(row: &Row) -> Option<(Curve, f64)> {
    if row.model.starts_with("depth-") {
        Some((Curve::Activations, number(row.activations?)))
    } else if row.model.starts_with("groups-") {
        Some((Curve::Weights, number(row.parameters?)))
    } else {
        Some((Curve::Cores, number(row.threads as u64)))
    }
}

/// The curves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    /// Activations grow, weights an activation stay.
    Activations,
    /// Weights grow, activations stay.
    Weights,
    /// Cores grow.
    Cores,
}

impl Curve {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Activations, Self::Weights, Self::Cores];

    /// What its horizontal axis counts.
    pub(crate) const fn axis(self) -> &'static str {
        match self {
            Self::Activations => "activations",
            Self::Weights => "weights",
            Self::Cores => "cores",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Activations => "at 128 weights an activation",
            Self::Weights => "at 4,000 activations",
            Self::Cores => "LeNet-5",
        }
    }
}

fn pictures(rows: &[Row]) -> Vec<(&'static str, String)> {
    let chart = |curve: Curve, what: &str, figure: fn(&Row) -> Option<f64>| {
        let series = System::ALL.map(|system| Series {
            name: system.title(),
            points: rows
                .iter()
                .filter(|row| row.system == system.name())
                .filter_map(|row| {
                    let (on, x) = place_on_curve(row)?;
                    Some((x, figure(row)?)).filter(|_| on == curve)
                })
                .collect(),
        });
        plot::lines(&Chart {
            title: format!("{what}, {}", curve.title()),
            x: curve.axis(),
            series: series
                .into_iter()
                .filter(|s| !s.points.is_empty())
                .collect(),
        })
    };
    let time: fn(&Row) -> Option<f64> = |row| row.proving_s;
    let memory: fn(&Row) -> Option<f64> =
        |row| row.proving_peak_bytes.map(|b| number(b) / 1_048_576.0);
    vec![
        (
            "activations-time",
            chart(Curve::Activations, "Proving (s)", time),
        ),
        (
            "activations-memory",
            chart(Curve::Activations, "Memory of proving (MiB)", memory),
        ),
        ("weights-time", chart(Curve::Weights, "Proving (s)", time)),
        (
            "weights-memory",
            chart(Curve::Weights, "Memory of proving (MiB)", memory),
        ),
        ("cores-time", chart(Curve::Cores, "Proving (s)", time)),
    ]
}
