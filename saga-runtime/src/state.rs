//! What activities take as `#[state]`: one value a type, given to the engine.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values that activities take as `#[state]`, by type.
#[derive(Clone, Default)]
pub(crate) struct States {
    by_type: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl States {
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        self.by_type.insert(TypeId::of::<T>(), value);
    }

    pub(crate) fn get(&self, id: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        self.by_type.get(&id).cloned()
    }

    pub(crate) fn contains(&self, id: TypeId) -> bool {
        self.by_type.contains_key(&id)
    }
}
