//! The engine and its limit side by side: they take turns, so that a machine that grows slower
//! or faster meanwhile does so for both.

use std::time::Duration;

use super::limit::Limit;
use super::run::{add_times, titled};
use crate::figures::{Figures, millis, percentile};
use crate::load::{Load, drive};
use crate::meter::{Meter, Reading};
use crate::place::Place;

/// Turns.
const TURNS: u64 = 6;

/// Measures both; the ratio is that of the whole times, for runs alone that of the medians.
pub async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    let opened = place.open().await?;
    let limit = Limit::prepare(place, &opened, load).await?;
    let engine = opened.engine().start().await?;
    let meter = Meter::new(place, &opened).await?;
    let part = load.part(TURNS);
    drive(engine.client(), part).await?;
    limit.bare(part).await?;

    let mut times = Vec::new();
    let (mut ours, mut theirs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let (mut limit_runs, mut bare_runs) = (Vec::new(), Vec::new());
    let mut used: Option<Reading> = None;
    let mut limit_used: Option<Reading> = None;
    for _ in 0..TURNS {
        let before = meter.read().await?;
        let done = drive(engine.client(), part).await?;
        let between = meter.read().await?;
        ours.push(done.took);
        times.extend(done.times);
        let written = limit.statements(part).await?;
        theirs.push(written.took);
        limit_runs.extend(written.groups);
        let after = meter.read().await?;
        let written = limit.bare(part).await?;
        bare.push(written.took);
        bare_runs.extend(written.groups);
        add(&mut used, between.since(&before));
        add(&mut limit_used, after.since(&between));
    }
    engine.shutdown().await;
    limit.end().await?;

    let all = Load { runs: part.runs * TURNS, ..load };
    let mut figures = titled(place, all, 1);
    add_times(&mut figures, all, ours.iter().sum(), &mut times);
    used.unwrap_or_default().add_to(&mut figures, all.all_steps(), all.all_rows());
    let limit_used = limit_used.unwrap_or_default();
    let rate = |took: &[Duration]| all.all_steps() / took.iter().sum::<Duration>().as_secs_f64();
    figures
        .add("limit_steps_per_second", rate(&theirs), "by the same statements, no engine")
        .add("limit_client_cpu_per_step", limit_used.client_cpu.map(|cpu| cpu / all.all_steps() * 1e6), "µs")
        .add("limit_server_cpu_per_step", limit_used.server_cpu.map(|cpu| cpu / all.all_steps() * 1e6), "µs")
        .add("bare_steps_per_second", rate(&bare), "rows in a table of their own");
    if load.concurrency == 1 {
        let alone = percentile(&mut times, 0.5);
        let (limit_run, bare_run) = (percentile(&mut limit_runs, 0.5), percentile(&mut bare_runs, 0.5));
        let ratio = |limit: Duration| alone.as_secs_f64() / limit.as_secs_f64();
        figures
            .add("limit_run", millis(limit_run), "ms by the same statements (median)")
            .add("bare_run", millis(bare_run), "ms by bare commits (median)")
            .add("times_the_limit", ratio(limit_run), "× the limit's time")
            .add("times_bare", ratio(bare_run), "× the time of bare commits");
    } else {
        figures.add("share_of_limit", rate(&ours) / rate(&theirs) * 100.0, "% of the limit").add(
            "share_of_bare",
            rate(&ours) / rate(&bare) * 100.0,
            "% of bare rows",
        );
    }
    Ok(figures)
}

fn add(sum: &mut Option<Reading>, more: Reading) {
    *sum = Some(sum.map_or(more, |sum| sum.plus(&more)));
}
