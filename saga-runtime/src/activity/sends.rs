//! Events that attempts send: however often a step is attempted, each arrives once.
//!
//! An event's id follows from the step's idempotency key and from what is sent, so that the target
//! recognises what another attempt, also one of a worker that is dead or thought to be, has sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use saga_store::wire::EventMessage;
use saga_store::{MessageId, RunId, Timestamp};

use super::context::{ActivityContext, ContextParts};
use crate::derive;
use crate::erased::BoxFuture;
use crate::event::{Event, SendError};

/// Who takes events of attempts to their runs.
pub(crate) trait Courier: Send + Sync {
    /// Returns when the event is durable.
    fn carry(&self, id: MessageId, to: RunId, event: EventMessage) -> BoxFuture<'static, Result<(), SendError>>;
}

/// What one attempt has sent: equal events are told apart by number.
#[derive(Default)]
pub(crate) struct Sent(Mutex<BTreeMap<MessageId, Numbers>>);

#[derive(Default)]
struct Numbers {
    next: u32,
    /// Those of sends that failed, or were dropped: they may have arrived.
    free: BTreeSet<u32>,
}

impl Sent {
    fn take(&self, of: MessageId) -> u32 {
        let mut sent = self.lock();
        let numbers = sent.entry(of).or_default();
        numbers.free.pop_first().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        })
    }

    fn give_back(&self, of: MessageId, number: u32) {
        if let Some(numbers) = self.lock().get_mut(&of) {
            numbers.free.insert(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MessageId, Numbers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An event that is being sent. If that fails the next equal event has its number.
struct UnderWay {
    parts: Arc<ContextParts>,
    of: MessageId,
    number: u32,
    arrived: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.arrived {
            self.parts.sent.give_back(self.of, self.number);
        }
    }
}

impl ActivityContext {
    /// Sends an event to the newest execution of a run, whatever its workflow; to the own run with
    /// [`run_id`](Self::run_id). Returns when it is durable. Costs one write, and a record of the run
    /// that receives it.
    ///
    /// The run receives it once, however often this step is attempted: what an attempt sends that an
    /// earlier attempt has sent is recognised, by the step's idempotency key and by the event itself.
    /// Of equal events of one attempt the first is taken for the first of the other attempt, the
    /// second for the second. So an attempt may simply send anew all that it has to say. Events are equal
    /// if they are written alike. If one is written in another way each time, since it has a time, an
    /// amount so far or a `HashMap` in it, or since the worker's [`codec`](crate::EngineBuilder::codec)
    /// changes between two attempts, it arrives with each: give it a [`key`](SendOnce::key); and
    /// an attempt that goes on where an earlier one stood says in its events where that is, so that they
    /// differ. What was sent stays sent, also if the step then fails, is cancelled or undone.
    ///
    /// For each event a few bytes are kept until the attempt ends. A [`Client`](crate::Client) in the
    /// activity's state sends as well; what it sends arrives with each attempt.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # async fn ship(parcel: u32) -> saga_runtime::Result<()> { let _ = parcel; Ok(()) }
    /// #[derive(Serialize, Deserialize, Event)]
    /// struct Shipped {
    ///     parcel: u32,
    /// }
    ///
    /// #[activity]
    /// async fn ship_all(#[context] cx: &ActivityContext, parcels: Vec<u32>, order: String) -> saga_runtime::Result<()> {
    ///     for parcel in parcels {
    ///         ship(parcel).await?;
    ///         cx.send(&order, Shipped { parcel }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the text cannot name a run, or the event cannot be recorded; if the run is not there, or has
    /// ended; if the store fails: the event may have been sent then, and may be sent again. Always in a
    /// transactional activity ([`SendError::InTransaction`]): its writes may still be taken back, and
    /// what was sent may not. Its workflow can [`send`](crate::send) once the step has ended.
    pub fn send<E: Event>(&self, to: impl AsRef<str>, event: E) -> SendOnce {
        let letter = || {
            let to = RunId::new(to).map_err(|error| SendError::Id(error.to_string()))?;
            let value = self.encoder().encode(&event).map_err(|error| SendError::Event(error.to_string()))?;
            Ok((to, EventMessage { name: E::NAME.to_owned(), value }))
        };
        SendOnce { parts: Arc::clone(self.parts()), letter: letter(), key: None }
    }
}

/// What [`ActivityContext::send`] returns: await it.
#[must_use = "an event is sent when this is awaited: add `.await`"]
pub struct SendOnce {
    parts: Arc<ContextParts>,
    letter: Result<(RunId, EventMessage), SendError>,
    key: Option<String>,
}

impl SendOnce {
    /// Recognises the event by this key in place of its value: of those of one type that the attempts
    /// of this step send to one run under one key the first arrives, and no other. That another one does
    /// not is no error.
    ///
    /// ```
    /// # use saga_runtime::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize, Event)]
    /// struct Begun {
    ///     at: std::time::SystemTime,
    /// }
    ///
    /// #[activity]
    /// async fn pack(#[context] cx: &ActivityContext, order: String) -> saga_runtime::Result<()> {
    ///     cx.send(&order, Begun { at: std::time::SystemTime::now() }).key("begun").await?;
    ///     // …
    ///     Ok(())
    /// }
    /// ```
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    async fn sent(self) -> Result<(), SendError> {
        let (to, event) = self.letter?;
        if self.parts.in_transaction {
            return Err(SendError::InTransaction);
        }
        let courier = &self.parts.scope.common.courier;
        let id = |number: u32| {
            let (kind, what) = match &self.key {
                Some(key) => ("key", key.as_bytes()),
                None => ("value", event.value.inline().map_or(&[][..], |value| value.as_ref())),
            };
            let of = [to.as_str().as_bytes(), event.name.as_bytes(), kind.as_bytes(), what, &number.to_be_bytes()];
            self.parts.message(&of)
        };
        let of = id(0);
        if self.key.is_some() {
            return courier.carry(of, to, event).await;
        }
        let number = self.parts.sent.take(of);
        let mut under_way = UnderWay { parts: Arc::clone(&self.parts), of, number, arrived: false };
        let id = id(number);
        courier.carry(id, to, event).await?;
        under_way.arrived = true;
        Ok(())
    }
}

impl IntoFuture for SendOnce {
    type Output = Result<(), SendError>;
    type IntoFuture = BoxFuture<'static, Result<(), SendError>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.sent())
    }
}

impl fmt::Debug for SendOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendOnce").field("letter", &self.letter).field("key", &self.key).finish_non_exhaustive()
    }
}

impl ContextParts {
    /// The id of what attempts of this step send. A key that executions share has no time.
    fn message(&self, what: &[&[u8]]) -> MessageId {
        let at = match &self.key {
            Some(_) => Timestamp::from_micros(0),
            None => derive::time_of(self.execution()),
        };
        derive::sent(self.idempotency_key().as_str(), self.activity, what, at)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use saga_store::wire::OpId;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::activity::{Beats, alone};
    use crate::clock::Still;

    #[derive(Serialize, Deserialize)]
    struct Told {
        number: u32,
    }

    impl Event for Told {
        const NAME: &'static str = "told";
    }

    /// Notes the ids of what it carries; loses the first so many answers.
    #[derive(Default)]
    struct Bag {
        carried: Mutex<Vec<MessageId>>,
        loses: Mutex<u32>,
    }

    impl Courier for Bag {
        fn carry(&self, id: MessageId, _: RunId, _: EventMessage) -> BoxFuture<'static, Result<(), SendError>> {
            self.carried.lock().unwrap().push(id);
            let mut loses = self.loses.lock().unwrap();
            let lost = *loses > 0;
            *loses = loses.saturating_sub(1);
            let answer = if lost { Err(SendError::Store("lost".to_owned())) } else { Ok(()) };
            Box::pin(std::future::ready(answer))
        }
    }

    impl Bag {
        fn take(&self) -> Vec<MessageId> {
            std::mem::take(&mut self.carried.lock().unwrap())
        }
    }

    fn attempt(bag: &Arc<Bag>, op: u32, attempt: u32, key: Option<&str>) -> ActivityContext {
        ActivityContext::new(ContextParts {
            scope: alone::scope(Still::new(), Arc::<Bag>::clone(bag)),
            on_behalf: None,
            activity: "tell",
            op: OpId::from([op].as_slice()),
            key: key.map(Arc::from),
            attempt,
            undo: false,
            lifeline: None,
            progress: None,
            in_transaction: false,
            beats: Beats::default(),
            sent: Sent::default(),
        })
    }

    fn send(cx: &ActivityContext, to: &str, number: u32) -> Result<(), SendError> {
        cx.send(to, Told { number }).into_future().now_or_never().expect("it is carried at once")
    }

    #[test]
    fn attempts_of_a_step_send_the_same_and_other_steps_do_not() {
        let bag = Arc::<Bag>::default();
        let sends = |cx: ActivityContext| {
            for (to, number) in [("B", 1), ("B", 2), ("C", 1), ("B", 1)] {
                send(&cx, to, number).unwrap();
            }
            bag.take()
        };
        let first = sends(attempt(&bag, 1, 1, None));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 4, "equal ones of one attempt differ as well");
        assert_eq!(sends(attempt(&bag, 1, 2, None)), first);
        let other = sends(attempt(&bag, 2, 1, None));
        assert!(other.iter().all(|id| !first.contains(id)));
        let keyed = sends(attempt(&bag, 1, 1, Some("order-7")));
        assert!(keyed.iter().all(|id| !first.contains(id)));
        assert_eq!(sends(attempt(&bag, 2, 1, Some("order-7"))), keyed, "the key of the call is that of its events");
    }

    #[test]
    fn an_event_whose_send_failed_is_sent_again_as_the_same() {
        let bag = Arc::new(Bag { loses: Mutex::new(2), ..Bag::default() });
        let cx = attempt(&bag, 1, 1, None);
        assert!(send(&cx, "B", 1).is_err() && send(&cx, "B", 1).is_err());
        send(&cx, "B", 1).unwrap();
        send(&cx, "B", 1).unwrap();
        let ids = bag.take();
        assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    }

    #[test]
    fn under_a_key_the_value_does_not_count() {
        let bag = Arc::<Bag>::default();
        let cx = attempt(&bag, 1, 1, None);
        for (number, key) in [(1, "first"), (2, "first"), (1, "second")] {
            cx.send("B", Told { number }).key(key).into_future().now_or_never().unwrap().unwrap();
        }
        let ids = bag.take();
        assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    }
}
