//! Opens what the commands work with: the store, the shop, the engine.

use std::sync::Arc;

use anyhow::{Context, bail};
use saga_examples::{OpenStore, StoreUrl, patiently};
use saga_postgres::{Migrate, PostgresStore};
use saga_runtime::{Client, Engine, RunHandle};

use crate::cli::WorkArgs;
use crate::orders::Order;
use crate::saga::order_saga;
use crate::shop::{Faults, PostgresShop, Rules, Shop, ShopHandle, SqliteShop};

/// An engine that works on so many orders at once.
pub(crate) async fn engine(
    store: OpenStore,
    shop: ShopHandle,
    args: &WorkArgs,
    orders: usize,
) -> anyhow::Result<Engine> {
    let builder = store.engine().state(shop).max_runs(orders).name(args.name.as_str());
    Ok(builder.heartbeat(args.lease / 4, args.lease).start().await?)
}

/// The store, if it is there: programs that only read make none.
pub(crate) async fn existing_store(url: &StoreUrl) -> anyhow::Result<OpenStore> {
    url.check_exists("store")?;
    match url {
        StoreUrl::Postgres(address) => {
            let opened = PostgresStore::builder(address.with_password()).migrate(Migrate::Verify).connect().await;
            let store = opened.with_context(|| format!("cannot read the store at {url}; `run` makes one"))?;
            Ok(OpenStore::Postgres(store))
        }
        StoreUrl::Sqlite(_) => Ok(OpenStore::open(url).await?),
    }
}

/// The shop as the worker's arguments want it, made if it is not there.
pub(crate) async fn shop(url: &StoreUrl, store: &StoreUrl, args: &WorkArgs) -> anyhow::Result<ShopHandle> {
    check_apart(url, store)?;
    let rules = Rules { max_quantity: args.max_quantity, decline_over: args.decline_over };
    let shop: Arc<dyn Shop> = match url {
        StoreUrl::Sqlite(path) => Arc::new(SqliteShop::open(path, rules).await?),
        StoreUrl::Postgres(url) => {
            let shop = PostgresShop::connect(url.with_password(), PostgresShop::SCHEMA, rules)?;
            shop.create().await?;
            Arc::new(shop)
        }
    };
    Ok(ShopHandle::new(shop, Faults::new(args.flaky, args.seed)))
}

/// The shop, if it is there, for a program that sells nothing.
pub(crate) async fn existing_shop(url: &StoreUrl, store: &StoreUrl) -> anyhow::Result<Arc<dyn Shop>> {
    url.check_exists("shop")?;
    check_apart(url, store)?;
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(SqliteShop::open(path, Rules::default()).await?)),
        StoreUrl::Postgres(address) => {
            let shop = PostgresShop::connect(address.with_password(), PostgresShop::SCHEMA, Rules::default())?;
            if !shop.exists().await? {
                bail!("there is no shop at {url}; give its address, or begin with `run`");
            }
            Ok(Arc::new(shop))
        }
    }
}

/// In one database of a server the two have schemas of their own; in one file they would clash.
fn check_apart(shop: &StoreUrl, store: &StoreUrl) -> anyhow::Result<()> {
    if matches!(shop, StoreUrl::Sqlite(_)) && shop == store {
        bail!("the shop and the store cannot both be {shop}: give the shop a file of its own");
    }
    Ok(())
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
