//! What an engine checks before it starts.

use saga_runtime::prelude::*;

struct Ledger;
struct Gateway;

mod accounts {
    use saga_runtime::prelude::*;

    #[activity]
    pub(crate) async fn transfer(#[state] _ledger: &super::Ledger) -> Result<u32, saga_runtime::Error> {
        Ok(1)
    }

    #[workflow]
    pub(crate) async fn settle() -> Result<u32, saga_runtime::Error> {
        Ok(transfer().await?)
    }
}

mod invoices {
    use saga_runtime::prelude::*;

    #[activity]
    pub(crate) async fn transfer(#[state] _gateway: &super::Gateway) -> Result<u32, saga_runtime::Error> {
        Ok(2)
    }

    #[workflow]
    pub(crate) async fn settle() -> Result<u32, saga_runtime::Error> {
        Ok(transfer().await?)
    }
}

mod newer {
    use saga_runtime::prelude::*;

    #[workflow(version = 2)]
    pub(crate) async fn settle() -> Result<u32, saga_runtime::Error> {
        Ok(3)
    }
}

#[activity]
async fn charge(#[state] _gateway: &Gateway) -> Result<u32, saga_runtime::Error> {
    Ok(4)
}

#[workflow]
async fn charges() -> Result<u32, saga_runtime::Error> {
    Ok(charge().await?)
}

#[tokio::test]
async fn a_start_names_all_that_does_not_fit() {
    let error = Engine::builder(MemoryStore::new()).state(Ledger).start().await.unwrap_err();
    assert!(error.store_error().is_none());
    let problems = error.problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let has = |parts: &[&str]| problems.iter().any(|problem| parts.iter().all(|part| problem.contains(part)));
    assert!(has(&["activity `charge` (setup)", "state of type `setup::Gateway`", ".state("]), "{problems:#?}");
    assert!(has(&["activity `transfer` is defined 2 times", "setup::accounts", "setup::invoices"]), "{problems:#?}");
    assert!(has(&["workflow `settle` of version 1 is defined 2 times", "setup::accounts", "setup::invoices"]));
    for problem in problems {
        assert!(error.to_string().contains(problem.as_str()), "{error}");
    }
}

#[tokio::test]
async fn a_workflow_of_another_version_is_no_duplicate() {
    let error = Engine::builder(MemoryStore::new()).state(Ledger).state(Gateway).start().await.unwrap_err();
    assert!(!error.to_string().contains("version 2"), "{error}");
    assert!(!error.to_string().contains("state of type"), "{error}");
}
