//! The post office: sends what runs have put into their outboxes, at least once.
//!
//! A message has its id before it is first sent, and its target recognises it when it comes again.
//! What was committed and not delivered, by this worker or one that is gone, is in the store's
//! outbox: a sweep sends it again. An outage is waited out. Nothing is polled while all goes well.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use saga_store::message::MessageBody;
use saga_store::wire::{ChildEnd, ChildEnded, ChildStart, Conclusion, NextStart};
use saga_store::{Delivery, ExecutionId, Message, MessageId, RunState, StoreError, Target};
use tokio::sync::mpsc;

use super::offspring::{self, Birth};
use super::shared::Shared;
use super::successor;

/// The most messages in one call of the store.
const GROUP_LIMIT: usize = 1024;

/// After so many slow polls the outbox is looked at for what others left behind: 60 s.
const SLOW_SWEEP: u32 = 6;

/// How often a message is tried again whose run goes on in an execution that is not there yet, and
/// the longest wait between two tries. Then it is left to a sweep.
const LATER_ROUNDS: u32 = 12;
const LATER_WAIT: Duration = Duration::from_secs(1);

/// The longest wait before an unanswered call is sent again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Sends for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>, mut messages: mpsc::UnboundedReceiver<Message>) {
    // As many at most as letters are at hand.
    let (births, mut born) = mpsc::unbounded_channel();
    let mut office = Office { shared: Arc::clone(&shared), births, held: HashMap::new() };
    let mut gathered = Vec::with_capacity(GROUP_LIMIT);
    sweep(&shared).await;
    let mut next_sweep =
        shared.clock.sleep_until(shared.clock.now().after(shared.slow_poll.saturating_mul(SLOW_SWEEP)));
    loop {
        tokio::select! {
            biased;
            // What others left behind was sent before what comes now.
            () = shared.post.sweep_wanted() => sweep(&shared).await,
            count = messages.recv_many(&mut gathered, GROUP_LIMIT) => {
                if count == 0 {
                    return;
                }
                office.take_in(std::mem::take(&mut gathered)).await;
            }
            Some(child) = born.recv() => office.born(child).await,
            () = &mut next_sweep => {
                sweep(&shared).await;
                next_sweep = shared.clock.sleep_until(shared.clock.now().after(shared.slow_poll.saturating_mul(SLOW_SWEEP)));
            }
        }
    }
}

/// What is on its way from this worker.
struct Office {
    shared: Arc<Shared>,
    /// Starts under ids that users chose: someone's open transaction can hold them up, and nobody
    /// else shall wait for that.
    births: mpsc::UnboundedSender<ExecutionId>,
    /// Executions whose start is under way: the ids of their runs, and messages to them.
    held: HashMap<ExecutionId, (String, Vec<Message>)>,
}

impl Office {
    async fn take_in(&mut self, messages: Vec<Message>) {
        let all = messages.len();
        let Letters { starts, nexts, others } = sort(messages);
        let (mut together, mut waiting) = (Vec::new(), 0);
        for (id, start) in starts {
            if offspring::has_chosen_id(&start) {
                waiting += 1;
                let (child, name) = (start.child.execution, start.child.id.clone());
                let shared = Arc::clone(&self.shared);
                let starting = async move { start_children(&shared, vec![(id, start)], Birth::Here).await };
                self.beside(child, name, starting);
            } else {
                together.push((id, start));
            }
        }
        for (id, next) in nexts {
            waiting += 1;
            let (execution, name) = (next.continued.next, next.id.clone());
            let shared = Arc::clone(&self.shared);
            self.beside(execution, name, async move { start_next(&shared, id, &next, Birth::Here).await });
        }
        start_children(&self.shared, together, Birth::Here).await;
        let mut now = Vec::with_capacity(others.len());
        for message in others {
            match self.awaited_by(&message.to) {
                Some(held) => {
                    waiting += 1;
                    held.push(message);
                }
                None => now.push(message),
            }
        }
        send(&self.shared, now).await;
        self.shared.post.done(all - waiting);
    }

    /// Starts an execution while others are sent.
    fn beside(&mut self, execution: ExecutionId, id: String, starting: impl Future<Output = ()> + Send + 'static) {
        self.held.entry(execution).or_insert_with(|| (id, Vec::new()));
        let births = self.births.clone();
        self.shared.spawner.spawn(async move {
            starting.await;
            // Without a post office there is nobody to tell.
            let _ = births.send(execution);
        });
    }

    /// Where messages to this target wait, if its start is under way.
    fn awaited_by(&mut self, to: &Target) -> Option<&mut Vec<Message>> {
        let held = match to {
            Target::Execution(execution) => self.held.get_mut(execution),
            Target::Run(id) => self.held.values_mut().find(|(name, _)| name == id.as_str()),
        };
        held.map(|(_, messages)| messages)
    }

    /// An execution is there, or will never be: what waited for it goes on.
    async fn born(&mut self, execution: ExecutionId) {
        let (_, waited) = self.held.remove(&execution).unwrap_or_default();
        let sent = waited.len();
        send(&self.shared, waited).await;
        self.shared.post.done(1 + sent);
    }
}

/// Sends what is in the outbox of this worker, and of workers that have left.
async fn sweep(shared: &Arc<Shared>) {
    shared.post.reopen();
    let mut tried: HashSet<MessageId> = HashSet::new();
    loop {
        let found = match shared.store.outbox(shared.membership().incarnation(), GROUP_LIMIT).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the outbox cannot be read now");
                return;
            }
        };
        let full = found.len() == GROUP_LIMIT;
        let new: Vec<Message> =
            found.into_iter().map(|(_, message)| message).filter(|message| tried.insert(message.id)).collect();
        if new.is_empty() {
            return;
        }
        let Letters { starts, nexts, others } = sort(new);
        start_children(shared, starts, Birth::Anywhere).await;
        for (id, next) in nexts {
            start_next(shared, id, &next, Birth::Anywhere).await;
        }
        send(shared, others).await;
        if !full {
            return;
        }
    }
}

type Start = (MessageId, ChildStart);

/// Starts of children and of next executions, and messages for inboxes.
#[derive(Default)]
struct Letters {
    starts: Vec<Start>,
    nexts: Vec<(MessageId, NextStart)>,
    others: Vec<Message>,
}

/// What this build cannot read stays in the outbox for one that can.
fn sort(messages: Vec<Message>) -> Letters {
    let mut letters = Letters::default();
    for message in messages {
        match MessageBody::from_bytes(&message.body) {
            Ok(MessageBody::StartChild(start)) => letters.starts.push((message.id, start)),
            Ok(MessageBody::StartNext(next)) => letters.nexts.push((message.id, next)),
            Ok(_) => letters.others.push(message),
            Err(error) => {
                tracing::error!(%error, message = %message.id, "a message of the outbox cannot be read; it is left");
            }
        }
    }
    letters
}

/// Starts the next execution of a run that goes on.
async fn start_next(shared: &Arc<Shared>, id: MessageId, next: &NextStart, birth: Birth) {
    if successor::start(shared, next, birth).await {
        forget(shared, vec![id]).await;
    }
}

/// Starts children, and tells the parents of those that cannot be.
async fn start_children(shared: &Arc<Shared>, starts: Vec<Start>, birth: Birth) {
    if starts.is_empty() {
        return;
    }
    let orders: Vec<&ChildStart> = starts.iter().map(|(_, start)| start).collect();
    let answers = offspring::start(shared, &orders, birth).await;
    let (mut sent, mut refusals) = (Vec::new(), Vec::new());
    for ((id, start), answer) in starts.into_iter().zip(answers) {
        match answer {
            Some(Ok(())) => sent.push(id),
            Some(Err(why)) => {
                tracing::warn!(parent = %start.parent.id, child = %start.child.id, %why, "a child cannot be started");
                let ended = ChildEnded { op: start.parent.op, end: ChildEnd::NotStarted { why }, undo: None };
                // The id of the start serves again: the start itself went into no inbox.
                let body = MessageBody::ChildEnded(ended).to_bytes();
                refusals.push(Message { id, to: Target::Execution(start.parent.execution), body });
            }
            None => {}
        }
    }
    send(shared, refusals).await;
    forget(shared, sent).await;
}

/// Delivers messages and forgets them.
async fn send(shared: &Arc<Shared>, messages: Vec<Message>) {
    let mut groups = vec![messages];
    let mut later = Vec::new();
    let mut backoff = Duration::from_millis(20);
    while let Some(mut group) = groups.pop() {
        if group.is_empty() {
            continue;
        }
        match shared.store.deliver(group.clone()).await {
            Ok(answers) => {
                backoff = Duration::from_millis(20);
                let mut sent = Vec::with_capacity(group.len());
                for (message, answer) in group.into_iter().zip(answers) {
                    match arrived(shared, message, answer).await {
                        Ok(Fate::Settled(id)) => sent.push(id),
                        Ok(Fate::Onward(message, next)) => later.push((message, next)),
                        Err(error) => tracing::warn!(%error, "where a message is to go cannot be read now"),
                    }
                }
                forget(shared, sent).await;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, messages = group.len(), retry_in = ?backoff, "messages cannot be delivered now");
                shared.clock.sleep_until(shared.clock.now().after(backoff)).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
                groups.push(group);
            }
            Err(error) if group.len() > 1 => {
                tracing::debug!(%error, "a group of messages is refused; it is halved");
                let rest = group.split_off(group.len() / 2);
                groups.push(rest);
                groups.push(group);
            }
            Err(error) => tracing::error!(%error, message = %group[0].id, "the store refuses a message; it is left"),
        }
    }
    if !later.is_empty() {
        let office = Arc::clone(shared);
        shared.spawner.spawn(async move { send_on(&office, later).await });
    }
}

/// What is to become of a message.
enum Fate {
    /// Nothing more: it is there, or nobody will ever read it.
    Settled(MessageId),
    /// Its run goes on in this execution.
    Onward(Message, ExecutionId),
}

/// What a delivery asks for.
async fn arrived(shared: &Shared, message: Message, answer: Delivery) -> Result<Fate, StoreError> {
    match answer {
        Delivery::New(execution) => {
            if let Some(mailbox) = shared.live.get(execution) {
                mailbox.inbox();
            }
            return Ok(Fate::Settled(message.id));
        }
        Delivery::Duplicate(_) => return Ok(Fate::Settled(message.id)),
        Delivery::Ended(execution) => {
            let view = shared.store.get_execution(execution).await?;
            let conclusion =
                view.and_then(|view| view.conclusion).and_then(|bytes| saga_store::wire::decode(&bytes).ok());
            if let Some(Conclusion::Continued { next }) = conclusion {
                return Ok(Fate::Onward(message, next));
            }
        }
        Delivery::NoRun => {}
    }
    if let Ok(MessageBody::Event(event)) = MessageBody::from_bytes(&message.body) {
        let (event, to) = (event.name, message.to);
        tracing::warn!(event, ?to, ?answer, "an event that a run has sent is dropped: nobody will read it");
        return Ok(Fate::Settled(message.id));
    }
    Ok(Fate::Settled(message.id))
}

/// Sends messages on to executions in which their runs go on, in their order. One that is not there
/// yet is about to be started.
async fn send_on(shared: &Arc<Shared>, messages: Vec<(Message, ExecutionId)>) {
    for (message, next) in messages {
        match send_on_one(shared, &message, next).await {
            Ok(true) => forget(shared, vec![message.id]).await,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "where a message is to go cannot be read now"),
        }
    }
}

/// Whether nothing is left to do.
async fn send_on_one(shared: &Shared, message: &Message, mut next: ExecutionId) -> Result<bool, StoreError> {
    let mut wait = Duration::from_millis(5);
    for _ in 0..LATER_ROUNDS {
        let to = Message { to: Target::Execution(next), ..message.clone() };
        match shared.store.deliver(vec![to.clone()]).await?.first() {
            None | Some(Delivery::NoRun) => {
                shared.clock.sleep_until(shared.clock.now().after(wait)).await;
                wait = (wait * 2).min(LATER_WAIT);
            }
            Some(answer) => match arrived(shared, to, *answer).await? {
                Fate::Settled(_) => return Ok(true),
                Fate::Onward(_, further) => next = further,
            },
        }
    }
    // Either nobody has started it yet, or it has been purged, and the run has gone further.
    let view = match &message.to {
        Target::Run(id) => shared.store.get(id).await?,
        Target::Execution(execution) => shared.store.get_execution(*execution).await?,
    };
    let Some(view) = view else { return Ok(true) };
    Ok(shared.store.get(&view.id).await?.is_none_or(|newest| newest.state != RunState::Continued))
}

/// Forgets what has been delivered. What is not forgotten now is sent, recognised and forgotten
/// again by a later sweep.
async fn forget(shared: &Shared, sent: Vec<MessageId>) {
    if !sent.is_empty()
        && let Err(error) = shared.store.forget(sent).await
    {
        tracing::debug!(%error, "delivered messages cannot be forgotten now");
    }
}
