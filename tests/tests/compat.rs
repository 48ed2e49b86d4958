//! Snapshots of plans and types: what breaks runs in flight is told, with the remedies.

use saga_runtime::prelude::*;
use saga_runtime::{assert_compatible, compat};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    cents: u32,
}

#[derive(Serialize, Deserialize, Event)]
struct Approval {
    by: String,
}

#[activity(compensate = release(id))]
async fn reserve(id: String) -> saga_runtime::Result<u32> {
    Ok(u32::try_from(id.len()).unwrap_or(0))
}

#[activity]
async fn release(id: String) -> saga_runtime::Result<()> {
    let _ = id;
    Ok(())
}

#[activity]
async fn charge(cents: u32) -> saga_runtime::Result<()> {
    let _ = cents;
    Ok(())
}

#[workflow]
async fn order_saga(order: Order) -> saga_runtime::Result<u32> {
    let reserved = reserve(order.id).await?;
    if order.cents > 7 {
        event::<Approval>().await;
    }
    charge(order.cents).await?;
    Ok(reserved)
}

#[test]
fn the_committed_snapshot_holds() {
    assert_compatible!(order_saga);
}

/// The snapshot of one workflow, and what another says of it.
fn said<Old: saga_runtime::Workflow, New: saga_runtime::Workflow>() -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a path");
    compat::accept::<Old>(folder, &[]).expect("the old one is accepted");
    compat::check::<New>(folder, &[]).err().unwrap_or_default()
}

#[test]
fn a_step_that_is_moved_renamed_removed_or_put_in_between_is_incompatible() {
    mod moved {
        use super::*;
        #[workflow(name = "order_saga")]
        pub(super) async fn saga(order: Order) -> saga_runtime::Result<u32> {
            if order.cents > 7 {
                event::<Approval>().await;
            }
            let reserved = reserve(order.id).await?;
            charge(order.cents).await?;
            Ok(reserved)
        }
    }
    mod removed {
        use super::*;
        #[workflow(name = "order_saga")]
        pub(super) async fn saga(order: Order) -> saga_runtime::Result<u32> {
            Ok(reserve(order.id).await?)
        }
    }
    let moved = said::<order_saga, moved::saga>();
    assert!(moved.contains("plan: branch comes before step `reserve`, at its beginning"), "{moved}");
    for remedy in ["patched(", "`version`", "SAGA_SNAPSHOT=accept"] {
        assert!(moved.contains(remedy), "{moved}");
    }
    let removed = said::<order_saga, removed::saga>();
    assert!(removed.contains("plan: branch, after step `reserve`, is gone"), "{removed}");
    let added = said::<removed::saga, order_saga>();
    assert_eq!(added, "", "what follows at the end breaks no run");
}

#[test]
fn a_helper_is_compared_by_what_it_awaits() {
    #[durable]
    async fn pays(cents: u32) -> saga_runtime::Result<()> {
        charge(cents).await?;
        Ok(())
    }
    #[workflow(name = "order_saga")]
    async fn by_a_helper(order: Order) -> saga_runtime::Result<u32> {
        let reserved = reserve(order.id).await?;
        if order.cents > 8 {
            event::<Approval>().await;
        }
        pays(order.cents).await?;
        Ok(reserved)
    }
    assert_eq!(said::<order_saga, by_a_helper>(), "");
}

#[test]
fn an_input_field_with_a_default_may_be_added_and_a_required_one_not() {
    #[derive(Serialize, Deserialize)]
    struct Wider {
        id: String,
        cents: u64,
        #[serde(default)]
        note: String,
        coupon: Option<String>,
    }
    #[derive(Serialize, Deserialize)]
    struct Other {
        id: u32,
        cents: u32,
        customer: String,
    }
    #[workflow(name = "saga")]
    async fn old(order: Order) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn wider(order: Wider) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn other(order: Other) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    assert_eq!(said::<old, wider>(), "");
    let other = said::<old, other>();
    assert!(other.contains("input.order.customer: is new and required; give it `#[serde(default)]`"), "{other}");
    assert!(other.contains("input.order.id: was text, is u32"), "{other}");
}

#[test]
fn a_field_may_be_renamed_under_an_alias_and_not_without_one() {
    #[derive(Serialize, Deserialize)]
    struct Aliased {
        #[serde(alias = "id")]
        number: String,
        #[serde(alias = "price", alias = "cents")]
        amount: u32,
    }
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        number: String,
        cents: u32,
    }
    #[derive(Serialize, Deserialize)]
    struct Mistyped {
        #[serde(alias = "id")]
        number: u32,
        cents: u32,
    }
    #[workflow(name = "saga")]
    async fn old(order: Order) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn with_an_alias(order: Aliased) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn without_an_alias(order: Renamed) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn of_another_type(order: Mistyped) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    assert_eq!(said::<old, with_an_alias>(), "");
    let renamed = said::<old, without_an_alias>();
    assert!(renamed.contains("input.order.number: is new and required"), "{renamed}");
    let mistyped = said::<old, of_another_type>();
    assert!(mistyped.contains("input.order.number: was text, is u32"), "{mistyped}");
}

#[test]
fn a_field_may_go_unless_unknown_fields_are_denied() {
    #[derive(Serialize, Deserialize)]
    struct Short {
        id: String,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Closed {
        id: String,
    }
    #[workflow(name = "saga")]
    async fn old(order: Order) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn with_less(order: Short) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn with_less_denied(order: Closed) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    assert_eq!(said::<old, with_less>(), "");
    let closed = said::<old, with_less_denied>();
    assert!(closed.contains("input.order.cents: is gone, and unknown fields are denied"), "{closed}");
}

#[test]
fn a_flattened_a_tagged_and_a_checked_type_need_a_sample() {
    #[derive(Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        order: Order,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Order(Order),
    }
    /// Takes none of the texts that the probe has.
    #[derive(Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    #[derive(Clone)]
    struct Checked(String);
    impl TryFrom<String> for Checked {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            if text.starts_with("ORD-") { Ok(Self(text)) } else { Err("it begins with ORD-".to_owned()) }
        }
    }
    impl From<Checked> for String {
        fn from(checked: Checked) -> Self {
            checked.0
        }
    }
    #[workflow]
    async fn takes_flat(order: Flat) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow]
    async fn takes_tagged(order: Tagged) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    #[workflow]
    async fn takes_checked(order: Checked) -> saga_runtime::Result<()> {
        let _ = order;
        Ok(())
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a path");
    for error in [
        compat::accept::<takes_flat>(folder, &[]),
        compat::accept::<takes_tagged>(folder, &[]),
        compat::accept::<takes_checked>(folder, &[]),
    ] {
        let error = error.expect_err("it cannot be probed");
        assert!(error.contains("give a value of each as a sample") && error.contains("sample = …"), "{error}");
    }
    let sample = || compat::sample(&takes_checked { order: Checked("ORD-1".to_owned()) });
    compat::accept::<takes_checked>(folder, &[sample()]).expect("the sample serves");
    compat::check::<takes_checked>(folder, &[sample()]).expect("nothing has changed");
}

mod loose {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Loose {
        Number(u32),
        Text(String),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Narrow {
        Text(String),
    }

    #[workflow]
    pub(super) async fn loose(order: Loose) -> saga_runtime::Result<()> {
        let (Loose::Number(_) | Loose::Text(_)) = order;
        Ok(())
    }

    #[workflow(name = "loose")]
    pub(super) async fn narrow(order: Narrow) -> saga_runtime::Result<()> {
        let Narrow::Text(_) = order;
        Ok(())
    }
}

#[test]
fn a_type_that_cannot_be_probed_needs_a_sample_which_must_be_readable_from_then_on() {
    use self::loose::{Loose, Narrow, loose, narrow};
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().to_str().expect("a path");
    let error = compat::accept::<loose>(folder, &[]).expect_err("it cannot be probed");
    assert!(error.contains("input: ") && error.contains("`assert_compatible!(loose, sample = …)`"), "{error}");
    let error =
        compat::accept::<loose>(folder, &[compat::sample(&loose { order: Loose::Number(7) }), compat::sample(&7)])
            .expect_err("there is no such type");
    assert!(error.contains("`loose` records nothing of type `i32`"), "{error}");

    compat::accept::<loose>(folder, &[compat::sample(&loose { order: Loose::Number(7) })]).expect("the sample serves");
    compat::check::<loose>(folder, &[compat::sample(&loose { order: Loose::Text("KB".to_owned()) })])
        .expect("another value is no other type");
    let error = compat::check::<narrow>(folder, &[compat::sample(&narrow { order: Narrow::Text("KB".to_owned()) })])
        .expect_err("it takes no numbers");
    assert!(error.contains("input: the sample in the snapshot cannot be read any more: "), "{error}");
}

#[test]
fn steps_that_change_places_and_a_step_with_another_name_are_incompatible() {
    #[activity(name = "bill")]
    async fn renamed(cents: u32) -> saga_runtime::Result<()> {
        let _ = cents;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn old(id: String) -> saga_runtime::Result<()> {
        reserve(id).await?;
        charge(7).await?;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn swapped(id: String) -> saga_runtime::Result<()> {
        charge(7).await?;
        reserve(id).await?;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn billed(id: String) -> saga_runtime::Result<()> {
        reserve(id).await?;
        renamed(7).await?;
        Ok(())
    }
    let swapped = said::<old, swapped>();
    assert!(swapped.contains("plan: step `charge` comes before step `reserve`, at its beginning"), "{swapped}");
    let billed = said::<old, billed>();
    assert!(billed.contains("plan: step `charge`, after step `reserve`, has become step `bill`"), "{billed}");
}

#[test]
fn a_step_within_a_patch_is_compatible_and_so_is_a_workflow_under_an_alias() {
    #[workflow]
    async fn sale(id: String) -> saga_runtime::Result<()> {
        reserve(id).await?;
        charge(7).await?;
        Ok(())
    }
    #[workflow(name = "sale")]
    async fn patched_sale(id: String) -> saga_runtime::Result<()> {
        if patched("deposit") {
            charge(1).await?;
        }
        reserve(id).await?;
        if !patched("twice") {
            charge(7).await?;
        }
        Ok(())
    }
    #[workflow(name = "selling", alias = "sale")]
    async fn selling(id: String) -> saga_runtime::Result<()> {
        reserve(id).await?;
        Ok(())
    }
    assert_eq!(said::<sale, patched_sale>(), "");
    let shorter = said::<sale, selling>();
    assert!(shorter.contains("plan: step `charge`, after step `reserve`, is gone"), "{shorter}");
}

#[test]
fn an_undo_that_runs_in_flight_have_recorded_must_stay_and_read_its_input() {
    #[activity(name = "release")]
    async fn free(id: u32) -> saga_runtime::Result<()> {
        let _ = id;
        Ok(())
    }
    #[activity(name = "reserve", compensate = free(7))]
    async fn reserve_otherwise(id: String) -> saga_runtime::Result<u32> {
        Ok(u32::from(id.is_empty()))
    }
    #[workflow(name = "saga")]
    async fn old(id: String) -> saga_runtime::Result<()> {
        reserve(id).await?;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn otherwise(id: String) -> saga_runtime::Result<()> {
        reserve_otherwise(id).await?;
        Ok(())
    }
    let said = said::<old, otherwise>();
    assert!(said.contains("input of undo `release`.id: was text, is u32"), "{said}");
}

#[test]
fn a_child_is_known_by_its_durable_name_and_its_result_must_be_readable() {
    #[workflow(name = "parcel")]
    async fn parcel(id: String) -> saga_runtime::Result<u32> {
        Ok(u32::from(id.is_empty()))
    }
    #[workflow(name = "parcel")]
    async fn package(id: String) -> saga_runtime::Result<String> {
        Ok(id)
    }
    #[workflow(name = "saga")]
    async fn old(id: String) -> saga_runtime::Result<()> {
        parcel(id).await?;
        Ok(())
    }
    #[workflow(name = "saga")]
    async fn new(id: String) -> saga_runtime::Result<()> {
        package(id).await?;
        Ok(())
    }
    let said = said::<old, new>();
    assert!(said.contains("output of child `parcel`: was u32, is text"), "{said}");
    assert!(!said.contains("plan:"), "{said}");
}

#[test]
fn a_workflow_without_a_snapshot_is_told_how_to_take_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = compat::check::<order_saga>(folder.path().to_str().expect("a path"), &[]).expect_err("there is none");
    assert!(error.contains("SAGA_SNAPSHOT=accept"), "{error}");
}
