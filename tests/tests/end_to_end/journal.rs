//! What a run's journal says.

use saga_runtime::Client;
use saga_store::wire::{Attempted, Entry};

/// All entries of a run's journal, in order.
pub(crate) async fn entries(client: &Client, id: &str) -> Vec<Entry> {
    let details = client.show(id).await.unwrap();
    details.records.into_iter().flat_map(|record| record.entries).collect()
}

/// The failed attempts that the journal tells of.
pub(crate) async fn attempted(client: &Client, id: &str) -> Vec<Attempted> {
    let attempted = |entry| if let Entry::Attempted(attempted) = entry { Some(attempted) } else { None };
    entries(client, id).await.into_iter().filter_map(attempted).collect()
}
