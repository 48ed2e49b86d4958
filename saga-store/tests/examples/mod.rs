//! An example of each variant that is written to a store.

use bytes::Bytes;
use saga_store::message::{CancelRequest, EventMessage};
use saga_store::wire::{
    AtCall, Attempted, Care, ChildEnd, ChildEnded, ChildScheduled, ChildStart, Claimed, Completion, CompletionEnd,
    Conclusion, Continued, Encoding, Entry, Errand, EventSent, Failure, FailureKind, InSession, NextStart, OpId,
    OpValue, Parent, ParentEnd, Payload, PayloadData, Progressed, Recipient, Record, Relay, Relayed, Repair, Retry,
    RunStarted, RunTerms, StartTerms, StepEnded, StepFailed, StepScheduled, TimerSet, UndoCause, UndoPlan, UndoStep,
};
use saga_store::{BlobId, ExecutionId, MessageBody, Timestamp};

fn op(path: &[u32]) -> OpId {
    OpId::from(path)
}

fn cancel() -> CancelRequest {
    CancelRequest { reason: Some("changed my mind".to_owned()) }
}

fn event() -> EventMessage {
    EventMessage { name: "approval".to_owned(), value: Payload::json("{\"by\":\"ann\"}") }
}

fn blob() -> Payload {
    let id = BlobId::from_bytes([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    Payload { encoding: Encoding::JSON, data: PayloadData::Blob { id, len: 100_000 } }
}

fn failure() -> Failure {
    Failure {
        kind: FailureKind::Returned,
        message: "card declined".to_owned(),
        error: Some(Payload::json("\"Declined\"")),
    }
}

fn undo() -> UndoStep {
    UndoStep {
        activity: "refund_payment".to_owned(),
        input: Payload::json("{\"order_id\":\"ORD-1\"}"),
        retry: Retry { max_attempts: None, initial: 100_000, max: 300_000_000, multiplier: 2.0, jitter: 0.2 },
        timeout: 10_000_000,
    }
}

fn failed_step() -> StepFailed {
    StepFailed { op: op(&[3]), attempt: 5, failure: failure(), unknown: true }
}

fn scheduled(undo: UndoPlan) -> Entry {
    Entry::StepScheduled(step(undo))
}

fn step(undo: UndoPlan) -> StepScheduled {
    StepScheduled {
        op: op(&[2]),
        activity: "charge_payment".to_owned(),
        input: Payload::json("{\"cents\":1177}"),
        undo,
        deadline: Some(1_795_246_800_000_000),
        errand: None,
        at_call: None,
    }
}

fn start_terms() -> StartTerms {
    StartTerms {
        begin: Some(1),
        deadline: Some(2),
        undo_continues: Some(true),
        attributes: Some(vec![("customer".to_owned(), "4".to_owned())]),
        memo: Some(Payload::json("[]")),
        session: None,
    }
}

fn in_session() -> InSession {
    InSession { op: op(&[1, 0]), execution: execution() }
}

fn continued() -> Continued {
    Continued {
        op: op(&[7]),
        next: execution(),
        version: 2,
        input: Payload::json("{\"month\":5}"),
        terms: Some(start_terms()),
        lane: Some("tenant".to_owned()),
        priority: Some(-3),
    }
}

fn sent(to: Recipient) -> Entry {
    Entry::EventSent(EventSent { op: op(&[3, 0, 1]), to, event: event() })
}

fn execution() -> ExecutionId {
    ExecutionId::from_bytes([1, 154, 0, 0, 0, 0, 112, 0, 128, 0, 1, 2, 3, 4, 5, 6])
}

fn parent() -> Parent {
    Parent { execution: execution(), op: op(&[9]), id: "ORD-1".to_owned() }
}

fn child() -> ChildScheduled {
    ChildScheduled {
        op: op(&[9]),
        workflow: "ship_order".to_owned(),
        version: 3,
        id: "SHIP-1".to_owned(),
        execution: execution(),
        input: Payload::json("{\"order\":1}"),
        undo: UndoPlan::Known(Box::new(undo())),
        at_end: Some(ParentEnd::Terminate),
        lane: "tenant".to_owned(),
        priority: -1,
        terms: None,
    }
}

fn child_started() -> RunStarted {
    RunStarted {
        workflow: "ship_order".to_owned(),
        version: 3,
        id: "SHIP-1".to_owned(),
        input: Payload::json("{}"),
        seed: 7,
        terms: None,
        parent: None,
    }
}

fn ended_child(undo: Option<Box<UndoStep>>) -> ChildEnded {
    ChildEnded { op: op(&[9]), end: ChildEnd::Completed(Payload::json("7")), undo }
}

pub(crate) fn child_ends() -> Vec<(&'static str, ChildEnd)> {
    vec![
        ("completed", ChildEnd::Completed(Payload::json("7"))),
        ("failed", ChildEnd::Failed { error: Payload::json("\"Lost\""), message: "lost".to_owned() }),
        ("cancelled", ChildEnd::Cancelled),
        ("terminated", ChildEnd::Terminated),
        ("dead", ChildEnd::Dead { reason: "replay does not match".to_owned() }),
        ("not_started", ChildEnd::NotStarted { why: "the id belongs to another workflow".to_owned() }),
    ]
}

pub(crate) fn parent_ends() -> Vec<(&'static str, ParentEnd)> {
    vec![("cancel", ParentEnd::Cancel), ("abandon", ParentEnd::Abandon), ("terminate", ParentEnd::Terminate)]
}

pub(crate) fn entries() -> Vec<(&'static str, Entry)> {
    claims().into_iter().chain(entries_of_a_run()).chain(steps_on_a_queue()).collect()
}

fn steps_on_a_queue() -> Vec<(&'static str, Entry)> {
    let step = |priority, session| {
        Entry::StepScheduled(StepScheduled {
            op: op(&[4]),
            activity: "render".to_owned(),
            input: Payload::json("{\"scene\":7}"),
            undo: UndoPlan::Nothing,
            deadline: None,
            errand: Some(Box::new(Errand {
                queue: "gpu".to_owned(),
                execution: execution(),
                retry: undo().retry,
                timeout: 5_000_000,
                default_timeout: false,
                priority,
                session,
            })),
            at_call: None,
        })
    };
    let relayed = |cancel| Entry::Relayed(Relayed { op: op(&[4]), execution: execution(), cancel });
    let terms = StartTerms { session: Some(in_session()), ..StartTerms::default() };
    let child = ChildScheduled { terms: Some(terms), ..child() };
    let terms = RunTerms { session: Some(in_session()), ..RunTerms::default() };
    let started = RunStarted { terms: Some(terms), parent: Some(parent()), ..child_started() };
    vec![
        ("step_scheduled_on_a_queue", step(None, None)),
        ("step_scheduled_on_a_queue_with_a_priority", step(Some(-7), None)),
        ("step_scheduled_in_a_session", step(None, Some(in_session()))),
        ("child_scheduled_in_a_session", Entry::ChildScheduled(Box::new(child))),
        ("started_in_a_session", Entry::Started(Box::new(started))),
        ("relayed", relayed(false)),
        ("relayed_a_cancel", relayed(true)),
    ]
}

fn claims() -> Vec<(&'static str, Entry)> {
    let alone = Claimed { care: Some(Care::Alone), ..Claimed::by("worker-1") };
    let not_build = Claimed { not_build: Some("build-7".to_owned()), ..Claimed::by("worker-1") };
    vec![
        ("claimed", Entry::Claimed(Claimed::by("worker-1"))),
        ("claimed_noted", Entry::Claimed(Claimed::noted("worker-1"))),
        ("claimed_alone", Entry::Claimed(alone)),
        ("claimed_not_build", Entry::Claimed(not_build)),
    ]
}

fn entries_of_a_run() -> Vec<(&'static str, Entry)> {
    let started = RunStarted {
        workflow: "order_saga".to_owned(),
        version: 2,
        id: "ORD-1".to_owned(),
        input: Payload::json("{\"order\":{\"id\":\"ORD-1\"}}"),
        seed: u64::MAX,
        terms: None,
        parent: None,
    };
    let terms = RunTerms {
        deadline: Some(1_795_246_800_000_000),
        copied: Some(3),
        undo_continues: Some(true),
        begin: Some(-1),
        forked: None,
        session: None,
    };
    let forked = RunStarted {
        terms: Some(RunTerms { copied: Some(0), forked: Some(true), ..RunTerms::default() }),
        ..started.clone()
    };
    let at_call = AtCall { timeout: Some(1_000_000), retry: Some(undo().retry), key: None };
    let with_key = AtCall { key: Some("ORD-1/charge".to_owned()), ..AtCall::default() };
    let with_start_terms = ChildScheduled { terms: Some(start_terms()), ..child() };
    let with_terms = RunStarted { terms: Some(terms), ..started.clone() };
    let attempted = Attempted {
        op: op(&[4, 1, 0]),
        attempt: 2,
        failure: Failure { kind: FailureKind::TimedOut, message: "timed out after 30s".to_owned(), error: None },
        unknown: true,
        retry_at: 1_795_246_800_123_456,
        undo: false,
    };
    let progressed =
        |undo| Progressed { op: op(&[4, 1, 0]), attempt: 2, progress: Payload::json("{\"rows\":70000}"), undo };
    let ended = |undo| StepEnded { op: op(&[0]), attempt: 1, output: Payload::json("{\"id\":7}"), undo };
    let failed = UndoCause::Failed { error: Payload::json("\"OutOfStock\""), message: "out of stock".to_owned() };
    vec![
        ("started", Entry::Started(Box::new(started))),
        ("started_with_terms", Entry::Started(Box::new(with_terms))),
        ("started_by_a_fork", Entry::Started(Box::new(forked))),
        ("begun_anew", Entry::BegunAnew),
        ("event_sent_to_a_run", sent(Recipient::Run("ORD-2".to_owned()))),
        ("event_sent_to_a_child", sent(Recipient::Child(op(&[2])))),
        ("continued", Entry::Continued(Box::new(continued()))),
        (
            "step_scheduled_as_the_call_says",
            Entry::StepScheduled(StepScheduled { at_call: Some(Box::new(at_call)), ..step(UndoPlan::Nothing) }),
        ),
        (
            "step_scheduled_with_a_key",
            Entry::StepScheduled(StepScheduled { at_call: Some(Box::new(with_key)), ..step(UndoPlan::Nothing) }),
        ),
        ("child_scheduled_with_terms", Entry::ChildScheduled(Box::new(with_start_terms))),
        ("suspended", Entry::Suspended(cancel())),
        ("resumed", Entry::Resumed(CancelRequest::default())),
        ("repaired_by_resume", Entry::Repaired(Repair::Resume)),
        ("repaired_by_retry", Entry::Repaired(Repair::Retry)),
        ("repaired_by_skip", Entry::Repaired(Repair::Skip(op(&[2])))),
        ("repaired_by_result", Entry::Repaired(Repair::SetResult(op(&[4, 1]), Payload::json("7")))),
        ("event_refused", Entry::EventRefused(event(), "missing field `at`".to_owned())),
        ("begun", Entry::Begun),
        ("patched", Entry::Patched("2026-11-fraud-check".to_owned())),
        ("step_ended", Entry::StepEnded(ended(None))),
        ("step_ended_with_undo", Entry::StepEnded(ended(Some(Box::new(undo()))))),
        ("step_failed", Entry::StepFailed(failed_step())),
        ("attempted", Entry::Attempted(attempted)),
        ("progressed", Entry::Progressed(progressed(false))),
        ("progressed_in_an_undo", Entry::Progressed(progressed(true))),
        ("deferred", Entry::Deferred(op(&[4]), 2)),
        ("timer_fired", Entry::TimerFired(op(&[24]))),
        ("cancel_requested", Entry::CancelRequested(cancel())),
        ("cancel_requested_without_reason", Entry::CancelRequested(CancelRequest::default())),
        ("event_received", Entry::EventReceived(event())),
        ("undo_ended", Entry::UndoEnded(op(&[2]), 3)),
        ("undo_failed", Entry::UndoFailed(failed_step())),
        ("step_scheduled_with_nothing_to_undo", scheduled(UndoPlan::Nothing)),
        ("step_scheduled_with_known_undo", scheduled(UndoPlan::Known(Box::new(undo())))),
        ("step_scheduled_with_undo_from_output", scheduled(UndoPlan::FromOutput)),
        ("timer_set", Entry::TimerSet(TimerSet { op: op(&[5]), due: -1 })),
        ("event_awaited", Entry::EventAwaited(op(&[6]), "approval".to_owned())),
        ("undo_added", Entry::UndoAdded(op(&[5]), Box::new(undo()))),
        ("pivot", Entry::Pivot(op(&[4, 0, 2]))),
        ("dropped", Entry::Dropped(op(&[4, 1]))),
        ("value", Entry::Value(OpValue { op: op(&[8]), value: Payload::json("\"host-1\"") })),
        ("undo_began_failed", Entry::UndoBegan(failed)),
        ("undo_began_cancelled", Entry::UndoBegan(UndoCause::Cancelled(cancel()))),
        ("started_by_a_parent", Entry::Started(Box::new(RunStarted { parent: Some(parent()), ..child_started() }))),
        ("child_ended", Entry::ChildEnded(Box::new(ended_child(Some(Box::new(undo())))))),
        ("child_scheduled", Entry::ChildScheduled(Box::new(child()))),
        ("child_cancelled", Entry::ChildCancelled(op(&[9]))),
        ("child_detached", Entry::ChildDetached(op(&[9]))),
        ("concluded", Entry::Concluded(Conclusion::Completed(Payload::json("{\"receipt\":1}")))),
    ]
}

pub(crate) fn conclusions() -> Vec<(&'static str, Conclusion)> {
    let failed = Conclusion::Failed { error: Payload::json("\"OutOfStock\""), message: "out of stock".to_owned() };
    let dead = Conclusion::Dead { reason: "replay does not match at #4.1".to_owned() };
    vec![
        ("completed", Conclusion::Completed(Payload::json("null"))),
        ("failed", failed),
        ("cancelled", Conclusion::Cancelled(cancel())),
        ("terminated", Conclusion::Terminated(cancel())),
        ("dead", dead),
        ("continued", Conclusion::Continued { next: execution() }),
    ]
}

pub(crate) fn payloads() -> Vec<(&'static str, Payload)> {
    let other = Payload { encoding: Encoding(7), data: PayloadData::Inline(Bytes::from_static(&[0, 255])) };
    vec![
        ("json", Payload::json("[1]")),
        ("empty", Payload::json("")),
        ("other_encoding", other),
        ("blob", blob()),
        ("blob_of_other_encoding", Payload { encoding: Encoding(255), ..blob() }),
    ]
}

pub(crate) fn ops() -> Vec<(&'static str, OpId)> {
    vec![
        ("root", OpId::root()),
        ("one_number", op(&[4])),
        ("large_number", op(&[u32::MAX])),
        ("path", op(&[4, 1, 0])),
        ("deep_path", op(&[1, 2, 3, 4, 5, 6])),
    ]
}

pub(crate) fn failure_kinds() -> Vec<(&'static str, FailureKind)> {
    vec![
        ("returned", FailureKind::Returned),
        ("timed_out", FailureKind::TimedOut),
        ("panicked", FailureKind::Panicked),
        ("circuit_open", FailureKind::CircuitOpen),
        ("payload", FailureKind::Payload),
        ("deadline_passed", FailureKind::DeadlinePassed),
        ("unregistered", FailureKind::Unregistered),
        ("layer", FailureKind::Layer),
        ("interrupted", FailureKind::Interrupted),
        ("session_lost", FailureKind::SessionLost),
    ]
}

pub(crate) fn messages() -> Vec<(&'static str, MessageBody)> {
    let completed = |end| {
        MessageBody::StepCompleted(Completion { op: op(&[4, 1]), activity: "ask".to_owned(), end, attempt: None })
    };
    let failed_once = |end| {
        MessageBody::StepCompleted(Completion { op: op(&[4, 1]), activity: "ask".to_owned(), end, attempt: Some(2) })
    };
    let failed = CompletionEnd::Failed {
        failure: Failure { kind: FailureKind::Returned, message: "busy".to_owned(), error: Some(Payload::json("7")) },
        permanent: false,
        no_effect: true,
        retry_after: Some(5_000_000),
    };
    let start = ChildStart { child: child(), parent: parent(), seed: 7, replaces: None };
    let next = NextStart {
        continued: continued(),
        of: execution(),
        id: "ORD-1".to_owned(),
        workflow: "order_saga".to_owned(),
        seed: 7,
        deadline: Some(3),
        parent: Some(parent()),
        events: vec![event()],
    };
    let relayed = Relay::Cancel { op: op(&[4]), execution: execution(), request: cancel() };
    vec![
        ("step_completed", completed(CompletionEnd::Returned(Payload::json("true")))),
        ("step_failed_from_outside", completed(failed.clone())),
        ("attempt_failed_from_outside", failed_once(failed)),
        ("relay_a_start", MessageBody::Relay(Relay::Start(Box::new(start.clone())))),
        ("relay_a_cancel", MessageBody::Relay(relayed)),
        ("cancel", MessageBody::Cancel(cancel())),
        ("event", MessageBody::Event(event())),
        ("start_child", MessageBody::StartChild(start.clone())),
        ("start_child_in_place", MessageBody::StartChild(ChildStart { replaces: Some(true), ..start })),
        ("start_next", MessageBody::StartNext(next)),
        ("child_ended", MessageBody::ChildEnded(ended_child(None))),
        ("terminate", MessageBody::Terminate(cancel())),
        ("suspend", MessageBody::Suspend(cancel())),
        ("resume", MessageBody::Resume(CancelRequest::default())),
    ]
}

pub(crate) fn records() -> Vec<(&'static str, Record)> {
    let at = Timestamp::from_micros(1_795_246_800_000_000);
    let entries = entries().into_iter().filter(|(name, _)| ["step_ended", "timer_set", "concluded"].contains(name));
    vec![
        ("empty", Record::new(Timestamp::from_micros(0), Vec::new())),
        ("of_three_entries", Record::new(at, entries.map(|(_, entry)| entry).collect())),
    ]
}
