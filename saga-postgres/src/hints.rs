//! Hints to those who wait: this process's at once, other processes' by `NOTIFY`.
//!
//! A `NOTIFY` inside of a commit takes a lock that all commits of the server wait for. So hints
//! go out on a session of their own, which listens too: a lone one at once, and while many come,
//! one `NOTIFY` for all that gathered in the last 50 ms.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use saga_store::{ExecutionId, Hint, HintStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client};
use uuid::Uuid;

use crate::db::Db;

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
    outward: mpsc::UnboundedSender<Vec<Hint>>,
}

impl Hints {
    /// Hints, and the work of their session, to be spawned. It ends when the hints are dropped.
    pub(crate) fn new(db: &Arc<Db>, origin: Uuid) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let local = channel(CAPACITY).0;
        let (outward, gathered) = mpsc::unbounded_channel();
        let session = HintSession { db: Arc::clone(db), local: local.clone(), origin: origin.simple().to_string() };
        (Self { local, outward }, session.work(gathered))
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
        drop(self.outward.send(hints));
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
                *self = Self { anything: true, ..Self::default() };
            }
        }
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

struct HintSession {
    db: Arc<Db>,
    local: Sender<Hint>,
    origin: String,
}

impl HintSession {
    async fn work(self, mut outward: mpsc::UnboundedReceiver<Vec<Hint>>) {
        let mut backoff = PAUSE;
        let mut first = true;
        loop {
            match self.connect().await {
                Ok((client, inward)) => {
                    backoff = PAUSE;
                    if !std::mem::replace(&mut first, false) {
                        // Others' hints of the meantime are lost.
                        drop(self.local.send(Hint::Anything));
                    }
                    if self.serve(&client, inward, &mut outward).await.is_none() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "no session for hints; it is tried again");
                    first = false;
                }
            }
            // What gathers meanwhile is told when there is a session; a store that is closed ends it all.
            if outward.is_closed() {
                return;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// A session that listens, and others' payloads from it. The receiver closes with the session.
    async fn connect(&self) -> Result<(Client, mpsc::UnboundedReceiver<String>), String> {
        let tls = self.db.address.tls().map_err(|error| error.to_string())?;
        let (client, mut connection) = self.db.address.config.connect(tls).await.map_err(|error| error.to_string())?;
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(notification) = message {
                    // The session ends when nobody listens; see `serve`.
                    drop(sender.send(notification.payload().to_owned()));
                }
            }
        });
        let listen = format!("LISTEN {}", crate::sql::quote(&channel_of(&self.db.schema)));
        client.batch_execute(&listen).await.map_err(|error| error.to_string())?;
        Ok((client, receiver))
    }

    /// Serves until the session breaks, or (`None`) the store is dropped.
    async fn serve(
        &self,
        client: &Client,
        mut inward: mpsc::UnboundedReceiver<String>,
        outward: &mut mpsc::UnboundedReceiver<Vec<Hint>>,
    ) -> Option<()> {
        let channel = channel_of(&self.db.schema);
        let mut gathered = Gathered::default();
        let mut pause: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::ready(()));
        let mut paused = false;
        loop {
            if !gathered.is_empty() && !paused {
                let payload = std::mem::take(&mut gathered).payload(&self.origin);
                let notified = client.execute("SELECT pg_notify($1, $2)", &[&channel, &payload]).await;
                if let Err(error) = notified {
                    tracing::debug!(%error, "hints to other processes are lost");
                    return Some(());
                }
                (pause, paused) = (tokio::time::sleep(PAUSE).boxed(), true);
            }
            tokio::select! {
                hints = outward.recv() => gathered.add(hints?),
                payload = inward.recv() => match payload {
                    Some(payload) => for hint in parse(&payload, &self.origin) {
                        drop(self.local.send(hint));
                    },
                    None => return Some(()),
                },
                () = &mut pause, if paused => paused = false,
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
}
