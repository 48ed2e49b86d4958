//! The limit alone.

use super::Common;
use crate::figures::{Figures, count};
use crate::limit::{LimitWorker, Template, Written, bare};
use crate::load::Load;
use crate::place::{Opened, Place};
use crate::with_store;
use crate::work::{heavy_steps, steps};

/// What `limit` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where, and how to print.
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    load: Load,
}

/// Measures.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let place = options.common.place().await?;
    let figures = measure(&place, options.load).await;
    place.clear().await?;
    figures?.print(options.common.json);
    Ok(())
}

async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    let opened = place.open().await?;
    let meter = crate::meter::Meter::new(place, &opened).await?;
    let limit = Limit::prepare(place, &opened, load).await?;
    let before = meter.read().await?;
    let took = limit.statements(load).await?.took;
    let used = meter.read().await?.since(&before);
    let bare = limit.bare(load).await?.took;
    limit.end().await?;
    let mut figures = Figures::new(format!(
        "{}, the limit: {} runs of {} steps, {} at once, {} calls under way",
        place.kind(),
        load.runs,
        load.steps,
        load.concurrency,
        limit.lanes
    ));
    figures
        .add("steps_per_second", load.all_steps() / took.as_secs_f64(), "by the store's statements")
        .add("rows_per_second", load.all_rows() / took.as_secs_f64(), "by the store's statements")
        .add("bare_rows_per_second", load.all_rows() / bare.as_secs_f64(), "in a table of their own")
        .add("row_size", count(limit.row_size), "bytes");
    used.add_to(&mut figures, load.all_steps(), load.all_rows());
    Ok(figures)
}

/// What is needed to write as the engine does.
pub(super) struct Limit<'a> {
    place: &'a Place,
    opened: Opened,
    template: Template,
    worker: LimitWorker,
    pub(super) lanes: u64,
    row_size: usize,
}

impl<'a> Limit<'a> {
    /// Runs one run to see its rows, and finds out how many calls at once are fastest.
    pub(super) async fn prepare(place: &'a Place, opened: &Opened, load: Load) -> anyhow::Result<Self> {
        let engine = opened.engine().start().await?;
        let execution = if load.payload == 0 {
            let run = engine.client().start(steps(load.steps)).await?;
            run.result().await?;
            run.execution()
        } else {
            let run = engine.client().start(heavy_steps(load.steps, "x".repeat(load.payload))).await?;
            run.result().await?;
            run.execution()
        };
        engine.shutdown().await;
        let template = with_store!(opened, |store| Template::of(store, execution).await)?;
        let worker = with_store!(opened, |store| LimitWorker::join(store).await)?;
        let row_size = template.size();
        let mut limit = Self { place, opened: opened.clone(), template, worker, lanes: 1, row_size };
        let trial = load.part(10);
        let mut fastest = limit.statements(trial).await?.took;
        for lanes in [1, 2, 3] {
            if lanes > load.concurrency {
                break;
            }
            limit.lanes = lanes;
            let took = limit.statements(trial).await?.took;
            if took < fastest {
                fastest = took;
            } else if lanes > 1 {
                limit.lanes = lanes - 1;
                break;
            }
        }
        Ok(limit)
    }

    /// Writes by the store's statements.
    pub(super) async fn statements(&self, load: Load) -> anyhow::Result<Written> {
        with_store!(&self.opened, |store| self.worker.write(store, &self.template, load, self.lanes).await)
    }

    /// Writes rows of the same size into a table of their own.
    pub(super) async fn bare(&self, load: Load) -> anyhow::Result<Written> {
        let rows = load.runs * self.template.rows() as u64;
        bare(self.place, self.row_size, self.template.rows(), rows, load.concurrency).await
    }

    /// Leaves the store.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        with_store!(&self.opened, |store| self.worker.leave(store).await)
    }
}
