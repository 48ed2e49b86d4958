//! Lists, a page at a time.

use saga_store::{ExecutionId, Page, Query, RunView};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{number, read};
use crate::db::{Db, For};
use crate::error::Abort;
use crate::sql::list::{self, FEW, Key, Source, Text};
use crate::sql::{self, VIEW_WIDTH, fill};

/// A statement looks at so many runs at most.
const MOST_AT_ONCE: usize = 10_000;

/// A call that has looked at so many gives what it has found.
const MOST: usize = 100_000;

/// Runs that the query allows, the newest first.
pub(crate) async fn list(db: &Db, query: &Query) -> Result<Page, Abort> {
    if query.limit == 0 {
        return Ok(Page::default());
    }
    let mut after = match query.after {
        Some(execution) => match place_of(db, execution).await? {
            Some(after) => Some(after),
            None => return Ok(Page::default()),
        },
        None => None,
    };
    let source = choose(db, query, after).await?;
    let one_more = query.limit.saturating_add(1);
    let mut at_once = match source {
        Source::Ids(_) => usize::MAX,
        source if list::is_filtered(query, source) => one_more.saturating_mul(4).min(MOST_AT_ONCE),
        _ => one_more,
    };
    let (mut runs, mut walked): (Vec<RunView>, usize) = (Vec::new(), 0);
    loop {
        let text = list::walk(query, source, after, number(at_once), number(one_more - runs.len()));
        let rows = send(db, &text).await?;
        for row in rows.iter().filter(|row| row.get::<_, Option<Uuid>>(1).is_some()) {
            runs.push(read::view(row)?);
        }
        if runs.len() > query.limit {
            runs.truncate(query.limit);
            let next = runs.last().map(|last| last.execution);
            return Ok(Page { runs, next });
        }
        let Some(last) =
            rows.first().and_then(|row| Some((row.get::<_, Option<i64>>(VIEW_WIDTH + 1)?, row.get(VIEW_WIDTH + 2))))
        else {
            return Ok(Page { runs, next: None });
        };
        let count = rows.first().map_or(0, |row| row.get::<_, i64>(VIEW_WIDTH));
        let count = usize::try_from(count).unwrap_or_default();
        if count < at_once {
            return Ok(Page { runs, next: None });
        }
        walked += count;
        if walked >= MOST && !runs.is_empty() {
            return Ok(Page { runs, next: Some(ExecutionId::from_uuid(last.1)) });
        }
        after = Some(last);
        at_once = at_once.saturating_mul(2).min(MOST_AT_ONCE);
    }
}

/// What has the fewest runs to look at.
async fn choose<'q>(db: &Db, query: &'q Query, after: Option<Key>) -> Result<Source<'q>, Abort> {
    let sources = list::sources(query);
    if let [source] = sources[..] {
        return Ok(source);
    }
    let rows = send(db, &list::probe(query, &sources, after)).await?;
    let count = |place: usize| rows.first().map_or(i64::MAX, |row: &Row| row.get(place));
    let counted = sources.iter().enumerate().map(|(place, source)| (*source, count(place)));
    // Many ids are no source, since they would have to be sorted.
    let usable = counted.filter(|(source, count)| !matches!(source, Source::Ids(_)) || *count <= number(FEW));
    Ok(usable.min_by_key(|(_, count)| *count).map_or(Source::All, |(source, _)| source))
}

/// Where a list goes on. If that run is gone, at the next one that was started before it; that one
/// is given, and perhaps others of its moment once more.
async fn place_of(db: &Db, execution: ExecutionId) -> Result<Option<Key>, Abort> {
    let rows = db.query(For::Clients, sql::PLACE_IN_LISTS, &[execution.as_uuid()]).await?;
    Ok(rows.first().map(|row| {
        let (found, at): (Uuid, i64) = (row.get(0), row.get(1));
        (at, if found == *execution.as_uuid() { found } else { Uuid::max() })
    }))
}

async fn send(db: &Db, text: &Text) -> Result<Vec<Row>, Abort> {
    let values: Vec<_> = text.values.iter().map(list::Value::typed).collect();
    db.query_text("LIST", &fill(&text.sql, &db.schema), &values).await
}

#[cfg(test)]
mod tests;
