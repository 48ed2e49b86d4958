//! What a driver does with its run's inbox: reads it, and tells the machine.

use saga_store::Timestamp;
use saga_store::message::MessageBody;

use super::driver::Driver;
use super::pace::LEASE_CHECK;
use crate::event::unreadable;

impl Driver {
    /// Whether another has ended the run. If that cannot be found out the next append will.
    pub(super) async fn was_ended(&mut self) -> bool {
        let view = self.shared.store.get_execution(self.execution).await;
        view.is_ok_and(|view| view.is_none_or(|view| view.state.is_final()))
    }

    /// Reads what is new, and tells the machine.
    pub(super) async fn read_inbox(&mut self) {
        let messages = loop {
            match self.shared.store.inbox(self.execution, self.inbox_seen).await {
                Ok(messages) => break messages,
                Err(error) if error.is_retryable() => {
                    if self.membership.is_over() || self.shared.is_stopping() {
                        // Whoever has the run next reads it.
                        return;
                    }
                    let clock = &self.shared.clock;
                    clock.sleep_until(clock.now().after(LEASE_CHECK)).await;
                }
                Err(error) => {
                    tracing::error!(%error, run = %self.scope.id, "the inbox cannot be read");
                    return;
                }
            }
        };
        for message in messages {
            self.receive(message.position, &message.body);
        }
    }

    /// Feeds one message.
    pub(crate) fn receive(&mut self, position: u64, body: &[u8]) {
        if self.machine.has_ended() {
            // Unread, it goes on with the run where that goes on.
            return;
        }
        self.inbox_seen = self.inbox_seen.max(position);
        let now = self.shared.clock.now();
        match MessageBody::from_bytes(body) {
            Ok(message) => {
                self.tell(message, now);
            }
            Err(error) => self.machine.park(now, format!("message {position} of its inbox cannot be read: {error}")),
        }
    }

    /// Tells the machine; an event whose value nobody can read does not kill a run.
    fn tell(&mut self, message: MessageBody, now: Timestamp) {
        match message {
            MessageBody::Event(event) => match unreadable(&event.name, &event.value) {
                Some(why) => {
                    tracing::error!(run = %self.scope.id, event = event.name, %why, "an event is refused");
                    self.machine.refuse_event(event, why.to_string(), now);
                }
                None => self.fed(|machine, now| machine.receive(MessageBody::Event(event), now)),
            },
            message => self.fed(|machine, now| machine.receive(message, now)),
        }
    }
}
