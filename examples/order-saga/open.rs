//! Opens what the commands work with: the store, the shop, the engine.

use std::sync::Arc;

use anyhow::{Context, bail};
use saga_examples::{StoreUrl, patiently};
use saga_runtime::{Client, Engine, RunHandle};
use saga_sqlite::SqliteStore;

use crate::cli::WorkArgs;
use crate::orders::Order;
use crate::saga::order_saga;
use crate::shop::{Faults, Rules, ShopHandle, SqliteShop};

/// The store of the runs.
pub(crate) async fn store(url: &StoreUrl) -> anyhow::Result<SqliteStore> {
    match url {
        StoreUrl::Sqlite(path) => Ok(SqliteStore::open(path).await?),
        other => bail!("this program has no store for {other}"),
    }
}

/// The shop, as the worker's arguments want it.
pub(crate) async fn shop(url: &StoreUrl, store: &StoreUrl, args: &WorkArgs) -> anyhow::Result<ShopHandle> {
    let rules = Rules { max_quantity: args.max_quantity, decline_over: args.decline_over };
    let shop = sqlite_shop(url, store, rules).await?;
    Ok(ShopHandle::new(Arc::new(shop), Faults::new(args.flaky, args.seed)))
}

/// The shop's tables.
pub(crate) async fn sqlite_shop(url: &StoreUrl, store: &StoreUrl, rules: Rules) -> anyhow::Result<SqliteShop> {
    if url == store {
        bail!("the shop and the store cannot both be {url}: give the shop a file of its own");
    }
    match url {
        StoreUrl::Sqlite(path) => Ok(SqliteShop::open(path, rules).await?),
        other => bail!("this program has no shop for {other}"),
    }
}

/// An engine that works on orders.
pub(crate) async fn engine(store: SqliteStore, shop: ShopHandle, args: &WorkArgs) -> anyhow::Result<Engine> {
    Ok(Engine::builder(store).state(shop).max_runs(args.concurrency).start().await?)
}

/// Starts an order's run, or finds it again.
pub(crate) async fn start(client: &Client, order: &Order) -> anyhow::Result<RunHandle<order_saga>> {
    let started = patiently(|| async { client.start(order_saga(order.clone())).id(order.id.as_str()).await }).await;
    let run = started.with_context(|| format!("cannot start {}", order.id))?;
    if run.input_differs() {
        tracing::warn!(order = %order.id, "its run was started with other data: is this the store of another file?");
    }
    Ok(run)
}
