//! What user code on the writer may do, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// How many steps of `SQLite`'s machine pass between two looks at the clock: some 100 µs.
const STEPS_BETWEEN_LOOKS: i32 = 4_000;

/// Shared by the writer and its connection's hooks.
///
/// The hooks stay installed: to set an authorizer makes `SQLite` prepare every statement again.
#[derive(Debug)]
pub(crate) struct Guard {
    origin: Instant,
    user_code: AtomicBool,
    deadline: AtomicU64,
}

impl Guard {
    /// Installs the hooks.
    pub(crate) fn install(conn: &mut Connection) -> rusqlite::Result<Arc<Self>> {
        let guard = Arc::new(Self {
            origin: Instant::now(),
            user_code: AtomicBool::new(false),
            deadline: AtomicU64::new(u64::MAX),
        });
        let asked = Arc::clone(&guard);
        conn.authorizer(Some(move |context: AuthContext<'_>| asked.authorize(context.action)))?;
        let asked = Arc::clone(&guard);
        conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || asked.is_overdue()))?;
        Ok(guard)
    }

    /// Until the value is dropped, what is prepared and run is user code.
    pub(crate) fn enter(&self, limit: Option<Duration>) -> Entered<'_> {
        let deadline = limit.map_or(u64::MAX, |limit| micros(self.origin.elapsed().saturating_add(limit)));
        self.deadline.store(deadline, Ordering::Relaxed);
        self.user_code.store(true, Ordering::Relaxed);
        Entered(self)
    }

    fn authorize(&self, action: AuthAction<'_>) -> Authorization {
        if self.user_code.load(Ordering::Relaxed) && is_denied(action) {
            Authorization::Deny
        } else {
            Authorization::Allow
        }
    }

    fn is_overdue(&self) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline != u64::MAX && micros(self.origin.elapsed()) > deadline
    }
}

/// User code is running.
#[derive(Debug)]
pub(crate) struct Entered<'g>(&'g Guard);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.user_code.store(false, Ordering::Relaxed);
        self.0.deadline.store(u64::MAX, Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

/// Transactions and the store's own tables belong to the store.
fn is_denied(action: AuthAction<'_>) -> bool {
    use AuthAction as A;
    match action {
        A::Transaction { .. } | A::Savepoint { .. } | A::Attach { .. } | A::Detach { .. } | A::Pragma { .. } => true,
        A::Insert { table_name }
        | A::Update { table_name, .. }
        | A::Delete { table_name }
        | A::CreateTable { table_name }
        | A::CreateIndex { table_name, .. }
        | A::CreateTrigger { table_name, .. }
        | A::CreateTempTable { table_name }
        | A::CreateTempTrigger { table_name, .. }
        | A::DropTable { table_name }
        | A::DropIndex { table_name, .. }
        | A::DropTrigger { table_name, .. }
        | A::AlterTable { table_name, .. } => is_ours(table_name),
        A::CreateView { view_name } | A::CreateTempView { view_name } => is_ours(view_name),
        _ => false,
    }
}

fn is_ours(table: &str) -> bool {
    table.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case("saga_"))
}
