//! Hints to those who wait: this process's at once, other processes' by `NOTIFY`.
//!
//! A `NOTIFY` inside of a commit takes a lock that all commits of the server wait for. So hints
//! go out on a session of their own, which listens too: a lone one at once, and while many come,
//! one `NOTIFY` for all that gathered in the last 50 ms.
//!
//! Nothing here grows with a flood, or while there is no session: what goes out gathers in sets of
//! at most [`MOST_IDS`], beyond which it is one "look at everything"; what comes in goes straight to
//! the listeners, and one that is [`CAPACITY`] behind is told the same in its place.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saga_store::{ExecutionId, Hint, HintStream};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::db::Db;
use crate::error::Abort;

/// How many hints a slow listener may be behind before it is told to look at everything.
const CAPACITY: usize = 4_096;

/// More ids than this in one `NOTIFY`, whose limit is 8,000 bytes, are one "look at everything".
const MOST_IDS: usize = 200;

/// At most one `NOTIFY` in so long.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest wait before the session is opened again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Where hints are sent from.
#[derive(Debug)]
pub(crate) struct Hints {
    local: Sender<Hint>,
    outward: Arc<Outward>,
}

/// What is to be told to other processes, and whether there will be more.
#[derive(Debug, Default)]
struct Outward {
    gathered: Mutex<Gathered>,
    more: Notify,
}

impl Outward {
    fn with<T>(&self, work: impl FnOnce(&mut Gathered) -> T) -> T {
        work(&mut self.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        self.outward.with(|gathered| gathered.closed = true);
        self.outward.more.notify_one();
    }
}

impl Hints {
    /// Hints, and the work of their session, to be spawned. It ends when the hints are dropped.
    pub(crate) fn new(db: &Arc<Db>, origin: Uuid) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let local = channel(CAPACITY).0;
        let outward = Arc::new(Outward::default());
        let session = HintSession {
            db: Arc::clone(db),
            local: local.clone(),
            origin: origin.simple().to_string(),
            outward: Arc::clone(&outward),
        };
        (Self { local, outward }, session.work())
    }

    pub(crate) fn send(&self, hints: Vec<Hint>) {
        if hints.is_empty() {
            return;
        }
        let mut ready = false;
        for hint in &hints {
            if *hint == Hint::Ready && std::mem::replace(&mut ready, true) {
                continue;
            }
            // Whoever has stopped listening misses nothing.
            drop(self.local.send(hint.clone()));
        }
        self.outward.with(|gathered| gathered.add(hints));
        self.outward.more.notify_one();
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener { hints: self.local.subscribe() }
    }
}

/// A stream of hints.
#[derive(Debug)]
pub(crate) struct Listener {
    hints: Receiver<Hint>,
}

impl HintStream for Listener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Hint>> + Send + '_>> {
        Box::pin(async {
            match self.hints.recv().await {
                Ok(hint) => Some(hint),
                Err(RecvError::Lagged(_)) => Some(Hint::Anything),
                Err(RecvError::Closed) => None,
            }
        })
    }
}

/// What is to be told to other processes.
#[derive(Debug, Default)]
struct Gathered {
    ready: bool,
    anything: bool,
    inbox: BTreeSet<ExecutionId>,
    ended: BTreeSet<ExecutionId>,
    changed: BTreeSet<ExecutionId>,
    /// The store is dropped: there will be no more.
    closed: bool,
}

impl Gathered {
    fn add(&mut self, hints: Vec<Hint>) {
        for hint in hints {
            match hint {
                Hint::Ready => self.ready = true,
                Hint::Inbox(execution) => drop(self.inbox.insert(execution)),
                Hint::Ended(execution) => drop(self.ended.insert(execution)),
                Hint::Changed(execution) => drop(self.changed.insert(execution)),
                Hint::Anything => self.anything = true,
            }
            if self.inbox.len() + self.ended.len() + self.changed.len() > MOST_IDS {
                *self = Self { anything: true, closed: self.closed, ..Self::default() };
            }
        }
    }

    /// What there is to tell, if there is anything; it is gone then.
    fn take(&mut self, origin: &str) -> Option<String> {
        let payload = (!self.is_empty()).then(|| self.payload(origin));
        *self = Self { closed: self.closed, ..Self::default() };
        payload
    }

    fn is_empty(&self) -> bool {
        let (inbox, ended, changed) = (&self.inbox, &self.ended, &self.changed);
        !self.ready && !self.anything && inbox.is_empty() && ended.is_empty() && changed.is_empty()
    }

    fn payload(&self, origin: &str) -> String {
        let mut text = origin.to_owned();
        if self.anything {
            text.push_str(" A");
            return text;
        }
        if self.ready {
            text.push_str(" R");
        }
        for (letter, executions) in [('I', &self.inbox), ('E', &self.ended), ('C', &self.changed)] {
            for execution in executions {
                // Writing to a string cannot fail.
                let _ = write!(text, " {letter}{}", execution.as_uuid().simple());
            }
        }
        text
    }
}

/// The hints of another process. What a newer build says in words of its own is left out.
fn parse(payload: &str, origin: &str) -> Vec<Hint> {
    let mut words = payload.split(' ');
    if words.next() == Some(origin) {
        return Vec::new();
    }
    let hint = |word: &str| {
        let execution = || Some(ExecutionId::from_uuid(Uuid::try_parse(word.get(1..)?).ok()?));
        match word.as_bytes().first()? {
            b'A' => Some(Hint::Anything),
            b'R' => Some(Hint::Ready),
            b'I' => Some(Hint::Inbox(execution()?)),
            b'E' => Some(Hint::Ended(execution()?)),
            b'C' => Some(Hint::Changed(execution()?)),
            _ => None,
        }
    };
    words.filter_map(hint).collect()
}

/// The name of a schema's channel. A name has at most 63 bytes.
pub(crate) fn channel_of(schema: &str) -> String {
    let mut end = schema.len().min(50);
    while !schema.is_char_boundary(end) {
        end -= 1;
    }
    format!("saga_hints_{}", &schema[..end])
}

/// The error itself says only that there is one.
fn said(error: tokio_postgres::Error) -> String {
    Abort::from(error).text()
}

struct HintSession {
    db: Arc<Db>,
    local: Sender<Hint>,
    origin: String,
    outward: Arc<Outward>,
}

impl HintSession {
    async fn work(self) {
        let mut backoff = PAUSE;
        let (mut first, mut silent) = (true, false);
        while !self.outward.with(|gathered| gathered.closed) {
            match self.connect().await {
                Ok((client, session)) => {
                    backoff = PAUSE;
                    if std::mem::take(&mut silent) {
                        tracing::info!("there is a session for hints");
                    }
                    if !std::mem::replace(&mut first, false) {
                        // Others' hints of the meantime are lost.
                        drop(self.local.send(Hint::Anything));
                    }
                    if self.serve(&client, session).await.is_none() {
                        return;
                    }
                }
                Err(error) if !std::mem::replace(&mut silent, true) => {
                    tracing::warn!(%error, "there is no session for hints; what other processes do is noticed late until there is one (LISTEN needs a direct connection)");
                    first = false;
                }
                Err(error) => tracing::debug!(%error, "no session for hints; it is tried again"),
            }
            // What gathers meanwhile is told when there is a session.
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// A session that listens, and its work, which hands on what others say and ends with it.
    async fn connect(&self) -> Result<(Client, JoinHandle<()>), String> {
        let tls = self.db.address.tls().map_err(|error| error.to_string())?;
        let (client, mut connection) = self.db.address.config.connect(tls).await.map_err(said)?;
        let (local, origin) = (self.local.clone(), self.origin.clone());
        let session = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message {
                    for hint in parse(notification.payload(), &origin) {
                        drop(local.send(hint));
                    }
                }
            }
        });
        let listen = format!("LISTEN {}", crate::sql::quote(&channel_of(&self.db.schema)));
        client.batch_execute(&listen).await.map_err(said)?;
        Ok((client, session))
    }

    /// Serves until the session breaks, or (`None`) the store is dropped.
    async fn serve(&self, client: &Client, mut session: JoinHandle<()>) -> Option<()> {
        let channel = channel_of(&self.db.schema);
        loop {
            if let Some(payload) = self.outward.with(|gathered| gathered.take(&self.origin)) {
                let notified = client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload]).await;
                if let Err(error) = notified {
                    tracing::debug!(%error, "others are told to look at everything when there is a session again");
                    self.outward.with(|gathered| gathered.add(vec![Hint::Anything]));
                    return Some(());
                }
                tokio::time::sleep(PAUSE).await;
            }
            if self.outward.with(|gathered| gathered.closed) {
                return None;
            }
            tokio::select! {
                () = self.outward.more.notified() => {}
                _ = &mut session => return Some(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(number: u8) -> ExecutionId {
        ExecutionId::from_bytes([number; 16])
    }

    #[test]
    fn what_is_told_is_understood_and_the_own_is_not_repeated() {
        let mut gathered = Gathered::default();
        gathered.add(vec![Hint::Ready, Hint::Inbox(execution(1)), Hint::Ready, Hint::Ended(execution(2))]);
        gathered.add(vec![Hint::Changed(execution(3))]);
        let payload = gathered.payload("me");
        let all = [Hint::Ready, Hint::Inbox(execution(1)), Hint::Ended(execution(2)), Hint::Changed(execution(3))];
        assert_eq!(parse(&payload, "you"), all);
        assert_eq!(parse(&payload, "me"), []);
        assert_eq!(parse("you Q7 R x", "me"), [Hint::Ready]);
    }

    #[test]
    fn a_payload_stays_within_the_limit() {
        let mut gathered = Gathered::default();
        gathered.add((0..200).map(|number| Hint::Ended(execution(number))).collect());
        assert!(gathered.payload(&Uuid::nil().simple().to_string()).len() < 8_000);
        gathered.add((0..200).map(|number| Hint::Inbox(execution(number))).collect());
        assert_eq!(parse(&gathered.payload("me"), "you"), [Hint::Anything]);
    }

    #[test]
    fn a_flood_that_nobody_sends_is_one_look_at_everything() {
        let outward = Outward::default();
        for number in 0..100_000_u128 {
            let execution = ExecutionId::from_bytes(number.to_be_bytes());
            outward.with(|gathered| gathered.add(vec![Hint::Ready, Hint::Inbox(execution), Hint::Changed(execution)]));
        }
        let held = outward.with(|gathered| gathered.inbox.len() + gathered.changed.len() + gathered.ended.len());
        assert!(held <= MOST_IDS, "{held} ids are held");
        let payload = outward.with(|gathered| gathered.take("me"));
        assert_eq!(parse(&payload.unwrap(), "you"), [Hint::Anything]);
        assert_eq!(outward.with(|gathered| gathered.take("me")), None, "once is enough");
    }

    #[test]
    fn a_listener_that_is_far_behind_is_told_once_to_look_at_everything() {
        let local = channel(CAPACITY).0;
        let mut listener = Listener { hints: local.subscribe() };
        for number in 0..100_000_u128 {
            drop(local.send(Hint::Ended(ExecutionId::from_bytes(number.to_be_bytes()))));
        }
        drop(local);
        let mut heard = Vec::new();
        while let Some(hint) = futures_util::FutureExt::now_or_never(listener.next()).flatten() {
            heard.push(hint);
        }
        assert_eq!(heard.iter().filter(|hint| **hint == Hint::Anything).count(), 1);
        assert!(heard[0] == Hint::Anything && heard.len() <= CAPACITY + 1, "{} hints", heard.len());
    }
}
