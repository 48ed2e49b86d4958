//! The post office: sends what runs have put into their outboxes, at least once.
//!
//! A message has its id before it is first sent, and its target recognises it when it comes again.
//! What was committed and not delivered, by this worker or one that is gone, is in the store's
//! outbox: a sweep sends it again. An outage is waited out. Nothing is polled while all goes well.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use saga_store::message::MessageBody;
use saga_store::wire::{ChildEnd, ChildEnded, ChildStart, Conclusion};
use saga_store::{Delivery, ExecutionId, Message, MessageId, StoreError, Target};
use tokio::sync::mpsc;

use super::offspring::{self, Birth};
use super::shared::Shared;

/// The most messages in one call of the store.
const GROUP_LIMIT: usize = 1024;

/// After so many slow polls the outbox is looked at for what others left behind: 60 s.
const SLOW_SWEEP: u32 = 6;

/// The longest wait before an unanswered call is sent again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Sends for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>, mut messages: mpsc::UnboundedReceiver<Message>) {
    let (births, mut born) = mpsc::unbounded_channel();
    let mut office = Office { shared: Arc::clone(&shared), births, held: HashMap::new() };
    let mut gathered = Vec::with_capacity(GROUP_LIMIT);
    sweep(&shared).await;
    let mut next_sweep =
        shared.clock.sleep_until(shared.clock.now().after(shared.slow_poll.saturating_mul(SLOW_SWEEP)));
    loop {
        tokio::select! {
            biased;
            count = messages.recv_many(&mut gathered, GROUP_LIMIT) => {
                if count == 0 {
                    return;
                }
                office.take_in(std::mem::take(&mut gathered)).await;
            }
            Some(child) = born.recv() => office.born(child).await,
            () = shared.post.sweep_wanted() => sweep(&shared).await,
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
    /// Messages to children whose start is under way.
    held: HashMap<ExecutionId, Vec<Message>>,
}

impl Office {
    async fn take_in(&mut self, messages: Vec<Message>) {
        let all = messages.len();
        let (starts, others) = sort(messages);
        let (mut together, mut waiting) = (Vec::new(), 0);
        for (id, start) in starts {
            if offspring::has_chosen_id(&start) {
                waiting += 1;
                self.held.entry(start.child.execution).or_default();
                let shared = Arc::clone(&self.shared);
                let births = self.births.clone();
                self.shared.spawner.spawn(async move {
                    let child = start.child.execution;
                    start_children(&shared, vec![(id, start)], Birth::Here).await;
                    // Without a post office there is nobody to tell.
                    let _ = births.send(child);
                });
            } else {
                together.push((id, start));
            }
        }
        start_children(&self.shared, together, Birth::Here).await;
        let mut now = Vec::with_capacity(others.len());
        for message in others {
            match &message.to {
                Target::Execution(execution) if self.held.contains_key(execution) => {
                    waiting += 1;
                    self.held.entry(*execution).or_default().push(message);
                }
                _ => now.push(message),
            }
        }
        send(&self.shared, now).await;
        self.shared.post.done(all - waiting);
    }

    /// A child is there, or will never be: what waited for it goes on.
    async fn born(&mut self, child: ExecutionId) {
        let waited = self.held.remove(&child).unwrap_or_default();
        let sent = waited.len();
        send(&self.shared, waited).await;
        self.shared.post.done(1 + sent);
    }
}

/// Sends what is in the outbox of this worker, and of workers that have left.
async fn sweep(shared: &Arc<Shared>) {
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
        let (starts, others) = sort(new);
        start_children(shared, starts, Birth::Anywhere).await;
        send(shared, others).await;
        if !full {
            return;
        }
    }
}

type Start = (MessageId, ChildStart);

/// Starts, and messages for inboxes. What this build cannot read stays in the outbox for one that
/// can.
fn sort(messages: Vec<Message>) -> (Vec<Start>, Vec<Message>) {
    let (mut starts, mut others) = (Vec::new(), Vec::new());
    for message in messages {
        match MessageBody::from_bytes(&message.body) {
            Ok(MessageBody::StartChild(start)) => starts.push((message.id, start)),
            Ok(_) => others.push(message),
            Err(error) => {
                tracing::error!(%error, message = %message.id, "a message of the outbox cannot be read; it is left");
            }
        }
    }
    (starts, others)
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
                    match arrived(shared, &message, answer).await {
                        Ok(None) => sent.push(message.id),
                        Ok(Some(next)) => groups.push(vec![Message { to: Target::Execution(next), ..message }]),
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
}

/// What a delivery asks for: nothing more, or to send it on to the next execution of a run that
/// went on under the same id.
async fn arrived(shared: &Shared, message: &Message, answer: Delivery) -> Result<Option<ExecutionId>, StoreError> {
    match answer {
        Delivery::New(execution) => {
            if let Some(mailbox) = shared.live.get(execution) {
                mailbox.inbox();
            }
            Ok(None)
        }
        Delivery::Ended(execution) if matches!(message.to, Target::Execution(_)) => {
            let view = shared.store.get_execution(execution).await?;
            let conclusion =
                view.and_then(|view| view.conclusion).and_then(|bytes| saga_store::wire::decode(&bytes).ok());
            Ok(match conclusion {
                Some(Conclusion::Continued { next }) => Some(next),
                _ => None,
            })
        }
        Delivery::Ended(_) | Delivery::Duplicate(_) | Delivery::NoRun => Ok(None),
    }
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
