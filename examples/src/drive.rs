//! Many runs at once, until all have ended or somebody wants the program to stop.

use std::future::Future;

use futures_util::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Interrupt;

/// Works on the items, `concurrency` at once, and gives up what is under way when the program
/// shall stop. With a terminal a bar on the error stream shows how far it is; `ended` items were
/// done before.
pub async fn drive<T, F, E>(
    items: impl IntoIterator<Item = T>,
    ended: usize,
    concurrency: usize,
    interrupt: &Interrupt,
    work: impl Fn(T) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
{
    let items: Vec<T> = items.into_iter().collect();
    let bar = progress_bar(ended + items.len(), ended);
    let work = &work;
    let driven = stream::iter(items)
        .take_until(interrupt.requested())
        .map(|item| {
            let bar = &bar;
            async move {
                tokio::select! {
                    ended = work(item) => {
                        bar.inc(1);
                        ended
                    }
                    () = interrupt.requested() => Ok(()),
                }
            }
        })
        .buffer_unordered(concurrency)
        .try_collect()
        .await;
    bar.finish_and_clear();
    driven
}

fn progress_bar(items: usize, ended: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(items).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len}, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar.with_position(u64::try_from(ended).unwrap_or(0))
}
