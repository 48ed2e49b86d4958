//! A trip: a saga within a saga. The flight stays whatever happens to the first hotel and its car;
//! when there is no car at all, the whole trip is undone, in reverse.
//!
//! Run it: `cargo run --bin trip`

use saga_examples::Place;
use saga_runtime::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Classify)]
enum BookingError {
    #[error("no {what} left")]
    #[permanent]
    Full { what: String },
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum TripError {
    #[error(transparent)]
    Booking(#[from] ActivityError<BookingError>),
}

/// Which cars are left.
struct Cars(Vec<&'static str>);

#[activity(compensate = cancel(what))]
async fn book(what: String) -> Result<(), BookingError> {
    println!("book the {what}");
    Ok(())
}

#[activity(compensate = cancel(format!("car at the {place}")))]
async fn book_car(#[state] cars: &Cars, place: String) -> Result<(), BookingError> {
    if cars.0.contains(&place.as_str()) {
        println!("book the car at the {place}");
        Ok(())
    } else {
        println!("there is no car at the {place}");
        Err(BookingError::Full { what: format!("car at the {place}") })
    }
}

#[activity]
async fn cancel(what: String) -> Result<(), BookingError> {
    println!("  cancel the {what}");
    Ok(())
}

#[workflow]
async fn trip(flight: String) -> Result<String, TripError> {
    book(flight).await?;
    let at_the_beach = attempt(async {
        book("beach hotel".to_owned()).await?;
        book_car("beach".to_owned()).await?;
        Ok::<_, TripError>(())
    });
    if at_the_beach.await.is_ok() {
        return Ok("a week at the beach".to_owned());
    }
    book("city hotel".to_owned()).await?;
    book_car("city".to_owned()).await?;
    Ok("a week in the city".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    saga_examples::init_logging();
    let place = Place::from_args()?;
    for (name, cars) in [("all goes well", vec!["beach"]), ("plan B", vec!["city"]), ("no car at all", vec![])] {
        println!("{name}:");
        let engine = place.engine().await?.state(Cars(cars)).only::<trip>().start().await?;
        let run = engine.client().start(trip("flight to Lisbon".to_owned())).id(name).replace_finished().await?;
        match run.outcome().await? {
            Outcome::Completed(plan) => println!("=> {plan}"),
            Outcome::Failed(error) => println!("=> stay at home: {error}"),
            other => anyhow::bail!("an end that nobody planned: {other:?}"),
        }
        engine.shutdown().await;
    }
    Ok(())
}
