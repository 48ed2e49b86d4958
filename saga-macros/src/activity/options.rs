//! What `#[activity(…)]` says.

use std::time::Duration;

use proc_macro2::{Ident, TokenStream};
use syn::Expr;

use crate::attr::{self, Opt};
use crate::diag::Diag;
use crate::duration;
use crate::krate::Krate;

const KNOWN: &[&str] = &[
    "name",
    "timeout",
    "heartbeat",
    "retry",
    "compensate",
    "circuit_breaker",
    "read_only",
    "pivot",
    "retriable",
    "transaction",
    "later",
    "queue",
    "priority",
    "crate",
];
const RETRY: &[&str] = &["max_attempts", "initial", "max", "multiplier", "jitter"];
const BREAKER: &[&str] = &["failures", "cooldown", "key"];
const BREAKER_NEEDS: &[&str] = &["failures", "cooldown"];

/// The first delay and the longest one of a policy that does not set them.
const DEFAULT_INITIAL: Duration = Duration::from_millis(100);

/// The options, checked each and against each other.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Options {
    pub(crate) krate: Option<Krate>,
    pub(crate) name: Option<String>,
    pub(crate) timeout: Option<Duration>,
    /// How long an attempt may be silent.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) compensate: Option<Expr>,
    pub(crate) breaker: Option<Breaker>,
    pub(crate) read_only: bool,
    pub(crate) pivot: bool,
    pub(crate) retriable: bool,
    /// Its output comes from whoever has the step's token.
    pub(crate) later: bool,
    /// The queue whose workers run it.
    pub(crate) queue: Option<String>,
    /// Which of the steps that wait on the queue goes first.
    pub(crate) priority: Option<i16>,
    /// The words that mean nothing without the attempt's context.
    pub(crate) need_context: Vec<Ident>,
    /// The word `transaction`.
    pub(crate) transaction: Option<Ident>,
}

/// What `circuit_breaker(…)` says.
pub(crate) struct Breaker {
    pub(crate) failures: u32,
    pub(crate) cooldown: Duration,
    /// The parameter whose value it is kept by.
    pub(crate) key: Option<Ident>,
}

/// What `retry(…)` says.
#[derive(Default)]
pub(crate) struct Retry {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) initial: Option<Duration>,
    pub(crate) max: Option<Duration>,
    pub(crate) multiplier: Option<f64>,
    pub(crate) jitter: Option<f64>,
}

/// Reads the options.
pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Options {
    let mut options = Options::default();
    let list = attr::parse(tokens, diag);
    for option in &list {
        match option.name.to_string().as_str() {
            "name" => options.name = option.name_string(diag),
            "timeout" => options.timeout = option.duration(diag).map(|(duration, _)| duration),
            "heartbeat" => {
                options.heartbeat = option.duration(diag).map(|(duration, _)| duration);
                options.need_context.push(option.name.clone());
            }
            "retry" => options.retry = retry(option, diag),
            "compensate" => options.compensate = option.expression("release(output.id)", diag),
            "circuit_breaker" => options.breaker = breaker(option, diag),
            "read_only" => options.read_only = option.flag(diag),
            "pivot" => options.pivot = option.flag(diag),
            "retriable" => options.retriable = option.flag(diag),
            "transaction" => options.transaction = option.flag(diag).then(|| option.name.clone()),
            "later" => {
                options.later = option.flag(diag);
                options.need_context.push(option.name.clone());
            }
            "queue" => options.queue = queue(option, diag),
            "priority" => options.priority = option.priority(diag),
            "crate" => options.krate = option.krate(diag),
            _ => diag.unknown(&option.name, "`#[activity]`", KNOWN),
        }
    }
    contradictions(&list, diag);
    options
}

/// The name of a queue, as the runtime takes it.
fn queue(option: &Opt, diag: &mut Diag) -> Option<String> {
    let name = option.name_string(diag)?;
    if name.len() > 100 || name.contains('/') || name.contains(char::is_control) {
        diag.at(&option.name, "the name of a queue has 1 to 100 bytes, without `/` and control characters");
        return None;
    }
    Some(name)
}

fn retry(option: &Opt, diag: &mut Diag) -> Retry {
    let mut retry = Retry::default();
    let mut max_at = None;
    for option in option.list("max_attempts = 5", diag).unwrap_or_default() {
        match option.name.to_string().as_str() {
            "max_attempts" => retry.max_attempts = option.count(diag).map(|(count, _)| count),
            "initial" => retry.initial = option.duration(diag).map(|(duration, _)| duration),
            "max" => {
                max_at = option.duration(diag);
                retry.max = max_at.map(|(duration, _)| duration);
            }
            "multiplier" => {
                retry.multiplier = in_range(&option, "2.0", "at least 1", |number| number >= 1.0, diag);
            }
            "jitter" => {
                retry.jitter = in_range(&option, "0.2", "from 0 to 1", |number| (0.0..=1.0).contains(&number), diag);
            }
            _ => diag.unknown(&option.name, "`retry(…)`", RETRY),
        }
    }
    if let Some((max, span)) = max_at {
        let initial = retry.initial.unwrap_or(DEFAULT_INITIAL);
        if max < initial {
            let by_default = if retry.initial.is_none() { ", the default" } else { "" };
            let message = format!(
                "`max` is the longest delay and is shorter than `initial` ({}{by_default}): raise it, or lower `initial`",
                duration::text(initial)
            );
            diag.at_span(span, message);
        }
    }
    retry
}

fn in_range(option: &Opt, example: &str, range: &str, fits: impl Fn(f64) -> bool, diag: &mut Diag) -> Option<f64> {
    let (number, span) = option.number(example, diag)?;
    if fits(number) {
        return Some(number);
    }
    diag.at_span(span, format!("`{0}` is {range}: for example `{0} = {example}`", option.name));
    None
}

fn breaker(option: &Opt, diag: &mut Diag) -> Option<Breaker> {
    const EXAMPLE: &str = "failures = 5, cooldown = \"30s\"";
    let (mut failures, mut cooldown, mut key) = (None, None, None);
    let list = option.list(EXAMPLE, diag)?;
    for option in &list {
        match option.name.to_string().as_str() {
            "failures" => failures = option.count(diag).map(|(count, _)| count),
            "cooldown" => cooldown = option.duration(diag).map(|(duration, _)| duration),
            "key" => key = breaker_key(option, diag),
            _ => diag.unknown(&option.name, "`circuit_breaker(…)`", BREAKER),
        }
    }
    let missing: Vec<_> =
        BREAKER_NEEDS.iter().filter(|name| !list.iter().any(|option| option.name == **name)).collect();
    if let (Some(name), true) = (missing.first(), diag.is_empty()) {
        diag.at(&option.name, format!("`circuit_breaker` needs `{name}` as well: write `circuit_breaker({EXAMPLE})`"));
    }
    Some(Breaker { failures: failures?, cooldown: cooldown?, key })
}

fn breaker_key(option: &Opt, diag: &mut Diag) -> Option<Ident> {
    let expr = option.expression("region", diag)?;
    let Expr::Path(path) = &expr else {
        diag.at(&expr, "a breaker is kept by the value of a parameter: write its name, as in `key = region`");
        return None;
    };
    let ident = path.path.get_ident().cloned();
    if ident.is_none() {
        diag.at(&expr, "a breaker is kept by the value of a parameter: write its name, as in `key = region`");
    }
    ident
}

/// Refuses pairs of options that contradict each other, at the later one.
fn contradictions(list: &[Opt], diag: &mut Diag) {
    const PAIRS: &[(&str, &str, &str)] = &[
        ("read_only", "compensate", "what changes nothing needs no undo"),
        ("read_only", "pivot", "what changes nothing is no point of no return"),
        ("read_only", "transaction", "what changes nothing needs no transaction"),
        ("heartbeat", "transaction", "an attempt within a transaction has no layers that would listen"),
        ("later", "transaction", "what comes later is not written in this transaction"),
        ("pivot", "compensate", "a point of no return is not undone"),
        ("retriable", "compensate", "what follows the point of no return is not undone"),
    ];
    for (one, other, why) in PAIRS {
        let position = |name: &str| list.iter().position(|option| option.name == name);
        if let (Some(a), Some(b)) = (position(one), position(other)) {
            let (first, later) = (&list[a.min(b)].name, &list[a.max(b)].name);
            diag.at(later, format!("`{later}` contradicts `{first}`: {why}; keep one"));
            return;
        }
    }
    let has = |name: &str| list.iter().any(|option| option.name == name);
    if let (Some(priority), false) = (list.iter().find(|option| option.name == "priority"), has("queue")) {
        diag.at(
            &priority.name,
            "`priority` says who goes first of the steps that wait on a queue: add `queue = \"…\"`, or remove it",
        );
    }
    let retriable = has("retriable");
    if let (true, Some(retry)) = (retriable, list.iter().find(|option| option.name == "retry")) {
        let nested = match &retry.value {
            attr::Value::List(tokens) => attr::parse(tokens.clone(), &mut Diag::default()),
            _ => Vec::new(),
        };
        if let Some(option) = nested.iter().find(|option| option.name == "max_attempts") {
            diag.at(
                &option.name,
                "`max_attempts` contradicts `retriable`, which is retried until it succeeds; keep one",
            );
        }
    }
}
