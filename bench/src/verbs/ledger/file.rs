//! Transactional steps in a file, within the store's group commits.

use saga_runtime::prelude::*;
use saga_sqlite::SqliteTx;

use super::{ACCOUNTS, Load, STEPS, account, check, titled};
use crate::figures::{Figures, count};
use crate::load::each;
use crate::meter::Meter;
use crate::place::{Opened, Place};

/// Measures.
pub(super) async fn measure(place: &Place, load: Load) -> anyhow::Result<Figures> {
    // Inside the function, an activity for this store alone does not keep engines on others from
    // starting.
    /// Adds one to a row.
    #[activity(transaction)]
    fn increment(#[transaction] tx: &SqliteTx<'_>, account: i64) -> saga_runtime::Result<i64> {
        let read = "SELECT cents FROM ledger WHERE account = ?1";
        let cents: i64 = tx.query_row(read, [account], |row| row.get(0))?;
        tx.execute("UPDATE ledger SET cents = ?2 WHERE account = ?1", [account, cents + 1])?;
        Ok(cents + 1)
    }

    /// So many of them on rows that differ.
    #[workflow]
    async fn increments(first: u64) -> saga_runtime::Result<()> {
        for step in 0..STEPS {
            increment(account(first, step)).await?;
        }
        Ok(())
    }

    let opened = place.open().await?;
    let Opened::Sqlite(store) = &opened else { anyhow::bail!("this is measured in a file") };
    let fill = format!(
        "CREATE TABLE ledger (account INTEGER PRIMARY KEY, cents INTEGER NOT NULL);
        WITH RECURSIVE a (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM a WHERE n + 1 < {ACCOUNTS})
        INSERT INTO ledger SELECT n, 0 FROM a"
    );
    store.db().setup(move |tx| tx.execute_batch(&fill)).await?;
    let engine = opened.engine().only::<increments>().start().await?;
    let meter = Meter::new(place, &opened).await?;
    let (client, before) = (engine.client().clone(), meter.read().await?);
    let mut done = each(load.runs, load.concurrency, move |number| {
        let client = client.clone();
        async move { Ok(client.start(increments(number * 7)).await?.result().await?) }
    })
    .await?;
    let used = meter.read().await?.since(&before);
    let sum = store.db().read(|file| file.query_row("SELECT sum(cents) FROM ledger", [], |row| row.get(0))).await?;
    engine.shutdown().await;
    check(load, sum)?;
    let mut figures = titled(place, load, &mut done);
    used.add_to(&mut figures, count(load.steps()), count(load.runs * (STEPS + 2)));
    Ok(figures)
}
