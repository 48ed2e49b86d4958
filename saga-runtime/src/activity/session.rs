//! What the attempts of one session share.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use saga_store::ExecutionId;

/// A [session](crate::session()) as its worker has it: what its activities keep in this process from
/// one step to the next. It goes when the session is over, and all that is in it is dropped as soon as
/// no attempt holds it any more.
///
/// ```
/// # use saga_runtime::prelude::*;
/// struct Model(Vec<u8>);
///
/// #[activity(queue = "gpu")]
/// async fn load(#[context] cx: &ActivityContext, name: String) -> saga_runtime::Result<()> {
///     let session = cx.session().ok_or_else(|| saga_runtime::Error::msg("call it in a session"))?;
///     session.insert(Model(name.into_bytes()));
///     Ok(())
/// }
///
/// #[activity(queue = "gpu")]
/// async fn infer(#[context] cx: &ActivityContext) -> saga_runtime::Result<usize> {
///     let model = cx.session().and_then(|session| session.get::<Model>());
///     Ok(model.ok_or_else(|| saga_runtime::Error::msg("no model is loaded"))?.0.len())
/// }
///
/// #[workflow]
/// async fn ask(name: String) -> saga_runtime::Result<usize> {
///     let gpu = session("gpu");
///     load(name).session(&gpu).await?;
///     Ok(infer().session(&gpu).await?)
/// }
/// ```
pub struct WorkerSession {
    id: ExecutionId,
    values: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl WorkerSession {
    pub(crate) fn new(id: ExecutionId) -> Self {
        Self { id, values: Mutex::default() }
    }

    /// Names the session, for what is kept outside of the process: a folder, say.
    pub fn id(&self) -> ExecutionId {
        self.id
    }

    /// Keeps a value for later steps, in place of one of the same type.
    pub fn insert<T: Any + Send + Sync>(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let before = values.insert(TypeId::of::<T>(), Arc::<T>::clone(&value) as _);
        // Its `Drop` is a user's code.
        drop(values);
        drop(before);
        value
    }

    /// The value of this type, if a step has kept one.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.get(&TypeId::of::<T>()).cloned();
        drop(values);
        value.and_then(|value| value.downcast().ok())
    }
}

impl fmt::Debug for WorkerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerSession").field("id", &self.id).finish_non_exhaustive()
    }
}
