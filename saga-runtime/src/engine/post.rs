//! The post office: sends what runs have put into their outboxes, at least once.
//!
//! A message has its id before it is first sent, and its target recognises it when it comes again.
//! What was committed and not delivered, by this worker or one that is gone, is in the store's
//! outbox: a sweep sends it again. Nothing is polled while all goes well.
//!
//! A start can be stuck for as long as somebody's open transaction has its id. It keeps nobody else:
//! only what is sent to its run waits for it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use saga_store::message::MessageBody;
use saga_store::wire::{ChildEnd, ChildEnded, ChildStart, NextStart};
use saga_store::{ExecutionId, Message, MessageId, Target, Timestamp};
use tokio::sync::mpsc;

use super::delivery::{forget, send};
use super::offspring::{self, Birth};
use super::shared::Shared;
use super::successor;
use crate::by_execution::ByExecution;

/// The most messages in one call of the store.
const GROUP_LIMIT: usize = 1024;

/// After so many slow polls the outbox is looked at for what others left behind: 60 s.
const SLOW_SWEEP: u32 = 6;

/// The first wait before what is stuck is tried again. It is twice as long each time, up to that of a
/// sweep without a reason.
const STUCK_WAIT: Duration = Duration::from_secs(1);

/// The most messages that a sweep reads at once: behind so many that are stuck the rest waits.
const MOST_READ: usize = 16 * GROUP_LIMIT;

/// The most starts of a sweep that are under way at a time.
const MOST_BESIDE: usize = 64;

/// Sends for as long as the engine lives.
pub(crate) async fn work(shared: Arc<Shared>, mut messages: mpsc::UnboundedReceiver<Message>) {
    // As many at most as letters are at hand.
    let (births, mut born) = mpsc::unbounded_channel();
    let mut office = Office::new(&shared, births);
    let mut gathered = Vec::with_capacity(GROUP_LIMIT);
    office.sweep().await;
    let mut set = office.next_sweep;
    let mut timer = shared.clock.sleep_until(set);
    loop {
        tokio::select! {
            biased;
            // What others left behind was sent before what comes now.
            () = shared.post.sweep_wanted() => office.sweep().await,
            count = messages.recv_many(&mut gathered, GROUP_LIMIT) => {
                if count == 0 {
                    return;
                }
                office.take_in(std::mem::take(&mut gathered)).await;
            }
            Some(birth) = born.recv() => office.born(birth).await,
            () = &mut timer => office.sweep().await,
        }
        if office.next_sweep != set {
            set = office.next_sweep;
            timer = shared.clock.sleep_until(set);
        }
    }
}

/// A start that was under way beside others has come to its end.
struct Born {
    execution: ExecutionId,
    /// The execution is there, or will never be; else the start is in the outbox.
    settled: bool,
    /// Whether the post office counts its letter among those at hand.
    at_hand: bool,
}

/// A start that is under way, and what waits for it.
struct Held {
    /// The id of the run.
    name: String,
    /// How many try it: a sweep may have found it beside one who had it in hand.
    by: usize,
    messages: Vec<Message>,
    /// A sweep has left messages to it in the outbox.
    left: bool,
}

/// What is on its way from this worker.
struct Office {
    shared: Arc<Shared>,
    /// Starts under ids that users chose: someone's open transaction can hold them up, and nobody
    /// else shall wait for that.
    births: mpsc::UnboundedSender<Born>,
    held: ByExecution<Held>,
    /// Executions whose start is stuck in the outbox, and the ids of their runs. What is sent to them
    /// stays there too: to the store they do not exist.
    stuck: ByExecution<String>,
    /// How many starts of sweeps are under way.
    swept: usize,
    next_sweep: Timestamp,
    patience: Duration,
}

impl Office {
    fn new(shared: &Arc<Shared>, births: mpsc::UnboundedSender<Born>) -> Self {
        Self {
            shared: Arc::clone(shared),
            births,
            held: ByExecution::default(),
            stuck: ByExecution::default(),
            swept: 0,
            next_sweep: shared.clock.now(),
            patience: STUCK_WAIT,
        }
    }

    async fn take_in(&mut self, messages: Vec<Message>) {
        let all = messages.len();
        let Letters { starts, nexts, others } = sort(messages);
        let (mut together, mut waiting) = (Vec::new(), 0);
        for (id, start) in starts {
            if offspring::has_chosen_id(&start) {
                waiting += 1;
                self.start_beside(id, start, Birth::Here);
            } else {
                together.push((id, start));
            }
        }
        for (id, next) in nexts {
            waiting += 1;
            self.go_on_beside(id, next, Birth::Here);
        }
        let stuck = start_children(&self.shared, together, Birth::Here).await;
        self.stuck.extend(stuck);
        let mut now = Vec::with_capacity(others.len());
        for message in others {
            let stuck = self.is_stuck(&message.to);
            match self.awaited_by(&message.to) {
                Some(held) => {
                    waiting += 1;
                    held.messages.push(message);
                }
                None if stuck => {}
                None => now.push(message),
            }
        }
        send(&self.shared, now).await;
        self.shared.post.done(all - waiting);
    }

    fn start_beside(&mut self, id: MessageId, start: ChildStart, birth: Birth) {
        let (child, name) = (start.child.execution, start.child.id.clone());
        let shared = Arc::clone(&self.shared);
        let starting = async move { start_children(&shared, vec![(id, start)], birth).await.is_empty() };
        self.beside(child, name, birth, starting);
    }

    fn go_on_beside(&mut self, id: MessageId, next: NextStart, birth: Birth) {
        let (execution, name) = (next.continued.next, next.id.clone());
        let shared = Arc::clone(&self.shared);
        self.beside(execution, name, birth, async move { start_next(&shared, id, &next, birth).await });
    }

    /// Starts an execution while others are sent.
    fn beside(
        &mut self,
        execution: ExecutionId,
        name: String,
        birth: Birth,
        starting: impl Future<Output = bool> + Send + 'static,
    ) {
        let held = self.held.entry(execution);
        held.or_insert_with(|| Held { name, by: 0, messages: Vec::new(), left: false }).by += 1;
        let at_hand = birth == Birth::Here;
        self.swept += usize::from(!at_hand);
        let births = self.births.clone();
        self.shared.spawner.spawn(async move {
            let settled = starting.await;
            // Without a post office there is nobody to tell.
            let _ = births.send(Born { execution, settled, at_hand });
        });
    }

    /// Where messages to this target wait, if its start is under way.
    fn awaited_by(&mut self, to: &Target) -> Option<&mut Held> {
        match to {
            Target::Execution(execution) => self.held.get_mut(execution),
            Target::Run(id) => self.held.values_mut().find(|held| held.name == id.as_str()),
        }
    }

    /// Whether the start of this target is stuck in the outbox.
    fn is_stuck(&self, to: &Target) -> bool {
        match to {
            Target::Execution(execution) => self.stuck.contains_key(execution),
            Target::Run(id) => self.stuck.values().any(|name| name == id.as_str()),
        }
    }

    /// An execution is there, or will never be: what waited for it goes on. Or it has to wait for
    /// another sweep, and all that waits for it with it.
    async fn born(&mut self, Born { execution, settled, at_hand }: Born) {
        let Some(held) = self.held.get_mut(&execution) else { return };
        held.by -= 1;
        self.swept -= usize::from(!at_hand);
        let mut done = usize::from(at_hand);
        if settled || held.by == 0 {
            let waited = std::mem::take(&mut held.messages);
            let (left, name) = (std::mem::take(&mut held.left), held.name.clone());
            if held.by == 0 {
                self.held.remove(&execution);
            }
            done += waited.len();
            if settled {
                self.stuck.remove(&execution);
                send(&self.shared, waited).await;
                if left {
                    self.shared.post.sweep();
                }
            } else {
                self.stuck.insert(execution, name);
                self.look_soon();
            }
        }
        self.shared.post.done(done);
    }

    /// Looks at what is stuck after a while, and ever later.
    fn look_soon(&mut self) {
        let soon = self.shared.clock.now().after(self.patience);
        if soon < self.next_sweep {
            self.next_sweep = soon;
            self.patience = self.patience.saturating_mul(2);
        }
    }

    /// Sends what is in the outbox of this worker, and of workers that have left. What cannot be sent
    /// now stays there.
    async fn sweep(&mut self) {
        let longest = self.shared.slow_poll.saturating_mul(SLOW_SWEEP);
        self.shared.post.reopen();
        // The next sweep may be wanted by starts of this one.
        self.next_sweep = self.shared.clock.now().after(longest);
        self.stuck.clear();
        let whole = self.sweep_all().await;
        if !whole || !self.stuck.is_empty() {
            self.look_soon();
        } else if self.swept == 0 {
            self.patience = STUCK_WAIT;
        }
    }

    /// Whether all of the outbox was seen.
    async fn sweep_all(&mut self) -> bool {
        let mut tried: HashSet<MessageId> = HashSet::new();
        let mut limit = GROUP_LIMIT;
        loop {
            let found = match self.shared.store.outbox(self.shared.membership().incarnation(), limit).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "the outbox cannot be read now");
                    return false;
                }
            };
            let all = found.len();
            let new: Vec<Message> =
                found.into_iter().map(|(_, message)| message).filter(|message| tried.insert(message.id)).collect();
            // What was tried before and is still there hides what is behind it.
            let hidden = all - new.len();
            self.send_swept(new).await;
            if all < limit {
                return true;
            }
            if hidden >= MOST_READ {
                tracing::warn!(stuck = hidden, "so many messages cannot be sent that the rest of the outbox waits");
                return false;
            }
            limit = hidden + GROUP_LIMIT;
        }
    }

    async fn send_swept(&mut self, messages: Vec<Message>) {
        let Letters { starts, nexts, others } = sort(messages);
        let mut together = Vec::new();
        for (id, start) in starts {
            if !offspring::has_chosen_id(&start) {
                together.push((id, start));
            } else if self.may_begin(start.child.execution, &start.child.id) {
                self.start_beside(id, start, Birth::Anywhere);
            }
        }
        for (id, next) in nexts {
            if self.may_begin(next.continued.next, &next.id) {
                self.go_on_beside(id, next, Birth::Anywhere);
            }
        }
        let stuck = start_children(&self.shared, together, Birth::Anywhere).await;
        self.stuck.extend(stuck);
        let mut now = Vec::with_capacity(others.len());
        for message in others {
            let stuck = self.is_stuck(&message.to);
            match self.awaited_by(&message.to) {
                // It may wait there already: it stays where it is.
                Some(held) => held.left = true,
                None if stuck => {}
                None => now.push(message),
            }
        }
        send(&self.shared, now).await;
    }

    /// Whether a start that a sweep has found begins now. One that is under way needs no other; of too
    /// many the rest waits for the next sweep.
    fn may_begin(&mut self, execution: ExecutionId, name: &str) -> bool {
        let held = self.held.contains_key(&execution);
        if !held && self.swept >= MOST_BESIDE {
            self.stuck.insert(execution, name.to_owned());
            return false;
        }
        !held
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

/// Starts the next execution of a run that goes on. Whether that is settled.
async fn start_next(shared: &Arc<Shared>, id: MessageId, next: &NextStart, birth: Birth) -> bool {
    let settled = successor::start(shared, next, birth).await;
    if settled {
        forget(shared, vec![id]).await;
    }
    settled
}

/// Starts children, and tells the parents of those that cannot be. Gives those whose starts stay in the
/// outbox, and the ids of their runs.
async fn start_children(shared: &Arc<Shared>, starts: Vec<Start>, birth: Birth) -> Vec<(ExecutionId, String)> {
    if starts.is_empty() {
        return Vec::new();
    }
    let orders: Vec<&ChildStart> = starts.iter().map(|(_, start)| start).collect();
    let answers = offspring::start(shared, &orders, birth).await;
    let (mut sent, mut refusals, mut stuck) = (Vec::new(), Vec::new(), Vec::new());
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
            None => stuck.push((start.child.execution, start.child.id)),
        }
    }
    send(shared, refusals).await;
    forget(shared, sent).await;
    stuck
}
