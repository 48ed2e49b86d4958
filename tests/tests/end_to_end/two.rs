//! Two workers over one store: one drives workflows, the other serves the queue `gpu` and nothing else.

use std::time::Duration;

use saga_runtime::{Engine, EngineBuilder};
use saga_store::Store;
use saga_tests::{Place, World};

/// An engine that drives the workflows, with a world of its own.
pub(crate) async fn home<S: Store + Clone>(store: &S, world: &World) -> Engine {
    started(Engine::builder(store.clone()).state(world.clone())).await
}

/// An engine that serves the queue, and nothing else.
pub(crate) async fn gpu<S: Store + Clone>(store: &S, world: &World) -> Engine {
    started(serving(store, world)).await
}

pub(crate) fn serving<S: Store + Clone>(store: &S, world: &World) -> EngineBuilder {
    Engine::builder(store.clone()).state(world.clone()).queues(["gpu"]).only_activities()
}

pub(crate) async fn started(builder: EngineBuilder) -> Engine {
    let builder = builder.grace(Duration::from_millis(50));
    match builder.heartbeat(Duration::from_millis(100), Duration::from_millis(500)).start().await {
        Ok(engine) => engine,
        Err(error) => panic!("{error}"),
    }
}

/// Two engines over one store, with a world each.
pub(crate) struct Two<S> {
    pub(crate) store: S,
    pub(crate) here: World,
    pub(crate) there: World,
    pub(crate) home: Engine,
    pub(crate) gpu: Engine,
}

impl<S: Store + Clone> Two<S> {
    pub(crate) async fn over(place: &impl Place<Store = S>) -> Self {
        Self::planned(place, |_, _| {}).await
    }

    pub(crate) async fn planned(place: &impl Place<Store = S>, plan: impl FnOnce(&World, &World)) -> Self {
        Self::with(place, |gpu| gpu, plan).await
    }

    /// With more said of the one that serves the queue.
    pub(crate) async fn with(
        place: &impl Place<Store = S>,
        build: impl FnOnce(EngineBuilder) -> EngineBuilder,
        plan: impl FnOnce(&World, &World),
    ) -> Self {
        let (here, there) = (World::default(), World::default());
        plan(&here, &there);
        let store = place.open().await;
        let gpu = started(build(serving(&store, &there))).await;
        let home = home(&store, &here).await;
        Self { store, here, there, home, gpu }
    }

    pub(crate) async fn end(self) {
        self.home.shutdown().await;
        self.gpu.shutdown().await;
    }
}
