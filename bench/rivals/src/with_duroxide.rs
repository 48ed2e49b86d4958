//! `duroxide`: its own stores, in a file or on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use duroxide::providers::Provider;
use duroxide::providers::sqlite::SqliteProvider;
use duroxide::runtime::Runtime;
use duroxide::runtime::registry::ActivityRegistry;
use duroxide::{ActivityContext, Client, OrchestrationContext, OrchestrationRegistry, OrchestrationStatus};

use duroxide_pg::PostgresProvider;

use crate::{Load, drive};

/// Measures.
pub(crate) async fn run(load: Load) -> anyhow::Result<()> {
    let store: Arc<dyn Provider> = if load.url.starts_with("sqlite") {
        Arc::new(SqliteProvider::new(&load.url, None).await?)
    } else {
        Arc::new(PostgresProvider::new_with_schema(&load.url, Some("duroxide")).await?)
    };
    let activities = ActivityRegistry::builder()
        .register("Nothing", |_: ActivityContext, number: String| async move { Ok(number) })
        .build();
    let orchestrations = OrchestrationRegistry::builder()
        .register("Steps", |ctx: OrchestrationContext, count: String| async move {
            for number in 0..count.parse::<u32>().map_err(|error| error.to_string())? {
                ctx.schedule_activity("Nothing", number.to_string()).await?;
            }
            Ok::<_, String>(count)
        })
        .build();
    let runtime = Runtime::start_with_store(store.clone(), activities, orchestrations).await;
    let (client, steps) = (Arc::new(Client::new(store)), load.steps);
    drive(&load, move |number| {
        let client = Arc::clone(&client);
        async move {
            let id = format!("run-{number}");
            client.start_orchestration(&id, "Steps", steps.to_string()).await?;
            match client.wait_for_orchestration(&id, Duration::from_secs(600)).await? {
                OrchestrationStatus::Completed { .. } => Ok(()),
                other => anyhow::bail!("a run ended as {other:?}"),
            }
        }
    })
    .await?;
    runtime.shutdown(None).await;
    Ok(())
}
