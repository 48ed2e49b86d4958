//! Which rights a user lacks, in words for who can grant them.
//!
//! The server says on which table a right is missing, and not which one it is.

use tokio_postgres::Client;

/// What the store does to its tables.
const MISSING: &str = "
    WITH of AS (
        SELECT c.relname, string_agg(p.name, ', ' ORDER BY p.place) AS rights
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS p (name, place)
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT has_table_privilege(c.oid, p.name)
            AND (c.relname <> 'meta' OR p.name = 'SELECT')
        GROUP BY c.relname)
    SELECT string_agg(what, '; ') FROM (
        SELECT 'USAGE on the schema ' || quote_ident(nspname) AS what FROM pg_namespace
        WHERE nspname = $1 AND NOT has_schema_privilege(oid, 'USAGE')
        UNION ALL
        SELECT 'CREATE on the database ' || quote_ident(current_database())
        WHERE $2::bool AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)
            AND NOT has_database_privilege(current_database(), 'CREATE')
        UNION ALL
        SELECT 'CREATE on the schema ' || quote_ident(nspname) FROM pg_namespace
        WHERE $2::bool AND nspname = $1 AND NOT has_schema_privilege(oid, 'CREATE')
        UNION ALL
        SELECT rights || ' on ' || string_agg(quote_ident(relname), ', ' ORDER BY relname) FROM of GROUP BY rights) AS all_of";

/// The rights that this session's user lacks in a schema: those to work, and those to make tables
/// if it is about to.
pub(crate) async fn missing(session: &Client, schema: &str, migrates: bool) -> Option<String> {
    let row = session.query_one(MISSING, &[&schema, &migrates]).await.ok()?;
    row.get(0)
}
