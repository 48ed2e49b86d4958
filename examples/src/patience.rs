//! Calls of a client that wait while the store cannot be used.

use std::future::Future;
use std::time::Duration;

use saga_runtime::ClientError;

/// So much time passes between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Repeats a call while the store is busy, full or away; what fails otherwise fails at once.
pub async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    loop {
        match call().await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the store cannot be used now; trying again");
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            ended => return ended,
        }
    }
}
