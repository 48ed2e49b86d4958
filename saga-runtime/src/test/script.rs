//! What a mocked activity does, attempt by attempt.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saga_store::wire::Payload;

use crate::activity::{Activity, AttemptFuture, end, unreadable_input};
use crate::codec;
use crate::codec::Encoder;

/// What the attempts of a mocked activity do, one after another. When all is used up, the
/// activity's own code runs.
///
/// ```
/// use saga_runtime::prelude::*;
/// use saga_runtime::test::{Script, TestEngine};
///
/// #[derive(Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize, Classify)]
/// #[error("the gateway is down")]
/// #[transient]
/// pub struct Down;
///
/// #[activity]
/// pub async fn charge(cents: u64) -> Result<u64, Down> {
///     Ok(cents)
/// }
///
/// #[workflow]
/// pub async fn pay(cents: u64) -> Result<u64, ActivityError<Down>> {
///     charge(cents).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let script = Script::new().times(2, |_| Err(Down)).hang().then(|charge { cents }| Ok(cents + 1));
/// let env = TestEngine::new().script::<charge>(script).start().await;
/// assert_eq!(env.run(pay(5)).await, Outcome::Completed(6));
/// assert_eq!(env.calls::<charge>().len(), 4);
/// # }
/// ```
#[must_use = "a script does nothing until it is given to a test: `.script::<activity>(script)`"]
pub struct Script<A: Activity> {
    acts: VecDeque<(Option<usize>, Act<A>)>,
}

type Answer<A> = Box<dyn FnMut(A) -> Result<<A as Activity>::Output, <A as Activity>::Error> + Send>;

enum Act<A: Activity> {
    Answer(Answer<A>),
    Hang,
    Panic(String),
    Wait(Duration),
    Real,
}

/// What stands in for an activity: the attempt, or nothing if the activity's own code shall run;
/// and how much later.
pub(super) struct Mocked {
    pub(super) wait: Duration,
    pub(super) attempt: Option<AttemptFuture>,
}

pub(super) type Mock = Box<dyn Fn(Payload) -> Mocked + Send + Sync>;

impl<A: Activity> Script<A> {
    /// Nothing: the activity's own code runs.
    pub fn new() -> Self {
        Self { acts: VecDeque::new() }
    }

    fn add(mut self, times: Option<usize>, act: Act<A>) -> Self {
        self.acts.push_back((times, act));
        self
    }

    /// The next attempt is answered by this.
    pub fn once(self, answer: impl FnMut(A) -> Result<A::Output, A::Error> + Send + 'static) -> Self {
        self.times(1, answer)
    }

    /// The next `times` attempts are answered by this.
    pub fn times(self, times: usize, answer: impl FnMut(A) -> Result<A::Output, A::Error> + Send + 'static) -> Self {
        if times == 0 { self } else { self.add(Some(times), Act::Answer(Box::new(answer))) }
    }

    /// All attempts from here on are answered by this.
    pub fn then(self, answer: impl FnMut(A) -> Result<A::Output, A::Error> + Send + 'static) -> Self {
        self.add(None, Act::Answer(Box::new(answer)))
    }

    /// The next attempt never ends: it runs into its timeout, in virtual time, or is dropped.
    pub fn hang(self) -> Self {
        self.add(Some(1), Act::Hang)
    }

    /// The next attempt panics with this message.
    pub fn panic(self, message: impl Into<String>) -> Self {
        self.add(Some(1), Act::Panic(message.into()))
    }

    /// The next attempt takes this long, in virtual time, before it does what follows.
    pub fn wait(self, time: Duration) -> Self {
        self.add(Some(1), Act::Wait(time))
    }

    /// The next attempt runs the activity's own code.
    pub fn real(self) -> Self {
        self.add(Some(1), Act::Real)
    }

    pub(super) fn hangs() -> Self {
        Self::new().add(None, Act::Hang)
    }

    pub(super) fn panics(message: String) -> Self {
        Self::new().add(None, Act::Panic(message))
    }

    pub(super) fn into_mock(self) -> Mock {
        let script = Arc::new(Mutex::new(self));
        Box::new(move |input| {
            let input = match codec::decode::<A>(&input) {
                Ok(input) => input,
                Err(error) => {
                    let failure = Err(unreadable_input::<A>(&error));
                    return Mocked { wait: Duration::ZERO, attempt: Some(Box::pin(std::future::ready(failure))) };
                }
            };
            script.lock().unwrap_or_else(PoisonError::into_inner).attempt(input)
        })
    }

    fn attempt(&mut self, input: A) -> Mocked {
        let mut wait = Duration::ZERO;
        loop {
            let Some((times, act)) = self.acts.front_mut() else { return Mocked { wait, attempt: None } };
            let attempt: Option<AttemptFuture> = match act {
                Act::Wait(time) => {
                    wait += *time;
                    self.acts.pop_front();
                    continue;
                }
                Act::Real => None,
                Act::Hang => Some(Box::pin(std::future::pending())),
                Act::Panic(message) => Some(unwinds(Box::new(message.clone()))),
                Act::Answer(answer) => {
                    Some(match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(input))) {
                        Ok(answer) => Box::pin(std::future::ready(end::<A>(Encoder::default(), answer))),
                        Err(panic) => unwinds(panic),
                    })
                }
            };
            match times {
                Some(1) => {
                    self.acts.pop_front();
                }
                Some(times) => *times -= 1,
                None => {}
            }
            return Mocked { wait, attempt };
        }
    }
}

/// An attempt that panics, without a line on the terminal.
fn unwinds(panic: Box<dyn std::any::Any + Send>) -> AttemptFuture {
    let mut panic = Some(panic);
    Box::pin(std::future::poll_fn(move |_| match panic.take() {
        Some(panic) => std::panic::resume_unwind(panic),
        None => std::task::Poll::Pending,
    }))
}

impl<A: Activity> Default for Script<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Activity> std::fmt::Debug for Script<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("activity", &A::NAME).field("acts", &self.acts.len()).finish()
    }
}
