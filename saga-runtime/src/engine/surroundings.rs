//! What an engine needs of its process: time, chance, tasks, and the code that is linked in.

use std::sync::Arc;
use std::time::Duration;

use saga_store::Timestamp;

use super::intake;
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::entropy::Entropy;
use crate::layer::Stage;
use crate::registry::Registry;
use crate::spawn::Spawner;

/// Injected into an engine, so that a test can hold all of it in its hand.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) spawner: Spawner,
    /// The same for what its client starts.
    pub(crate) calls: Spawner,
    pub(crate) registry: Arc<Registry>,
    /// Whether all state types must be there when the engine starts.
    pub(crate) strict: bool,
    /// How long nothing is looked for without a hint.
    pub(crate) slow_poll: Duration,
    /// The same for clients that wait for the end of a run.
    pub(crate) watching: Duration,
    /// Who stands between the engine and the activities' code.
    pub(crate) stage: Option<Arc<dyn Stage>>,
}

impl Surroundings {
    /// Those of a real engine, on a machine whose clock may be wrong.
    pub(crate) fn real(machine_clock: Option<Timestamp>) -> Self {
        Self {
            clock: Arc::new(machine_clock.map_or_else(SystemClock::new, SystemClock::that_says)),
            entropy: Arc::new(Entropy::from_os()),
            spawner: Spawner::Tokio,
            calls: Spawner::Tokio,
            registry: Arc::new(Registry::linked()),
            strict: true,
            slow_poll: intake::SLOW_POLL,
            watching: Client::SLOW_POLL,
            stage: None,
        }
    }
}
