//! The server's side: looks at it, and makes it where it is missing.

use leasehold_core::{BackendError, BackendErrorKind};

use crate::error::{Effect, corrupt};
use crate::link::{Call, Link};
use crate::records::column;

/// The version that this client knows.
const VERSION: i32 = 1;

const LAYOUT: &str = include_str!("layout.sql");

const THERE: &str = "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'leasehold' AND c.relname = 'layout'";

const SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), \
     current_setting('synchronous_standby_names')";

/// Refuses a server over which a session would break what is promised, and makes the layout if there is none.
pub(crate) async fn check(link: &Link, synchronous_replicas: bool) -> Result<(), BackendError> {
    refuse_what_forgets(link, synchronous_replicas).await?;
    let look = Call { what: "look for the layout", effect: Effect::Read, statement: THERE, args: &[] };
    if link.run(&look).await?.is_empty() {
        link.make("making of the layout", &making()).await.map_err(explain)?;
    }
    const WHAT: &str = "look at the layout's version";
    let statement = "SELECT version FROM leasehold.layout";
    let rows = link.run(&Call { what: WHAT, effect: Effect::Read, statement, args: &[] }).await?;
    let version: i32 = column(rows.first().ok_or_else(|| corrupt(WHAT))?, 0, WHAT)?;
    if version == VERSION {
        return Ok(());
    }
    let message = format!("{WHAT}: the database has version {version}, this client knows {VERSION}");
    Err(BackendError::new(BackendErrorKind::Unsupported, message))
}

async fn refuse_what_forgets(link: &Link, synchronous_replicas: bool) -> Result<(), BackendError> {
    const WHAT: &str = "look at the server's settings";
    let rows = link.run(&Call { what: WHAT, effect: Effect::Read, statement: SETTINGS, args: &[] }).await?;
    let row = rows.first().ok_or_else(|| corrupt(WHAT))?;
    let refused = |message: String| Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
    for (at, setting) in ["fsync", "full_page_writes"].into_iter().enumerate() {
        if column::<&str>(row, at, WHAT)? != "on" {
            let name = &link.destination().name;
            return refused(format!(
                "PostgreSQL at {name} forgets in a crash what it has answered: {setting} is not on"
            ));
        }
    }
    if synchronous_replicas && column::<&str>(row, 2, WHAT)?.is_empty() {
        let name = &link.destination().name;
        return refused(format!(
            "PostgreSQL at {name} waits for no replica: synchronous_standby_names is empty"
        ));
    }
    Ok(())
}

/// One transaction, in which those who come at once wait for each other and look again.
fn making() -> String {
    format!(
        "DO $making$ BEGIN PERFORM pg_advisory_xact_lock(7235139570); \
         IF NOT EXISTS ({THERE}) THEN EXECUTE $layout${LAYOUT}$layout$; END IF; END $making$"
    )
}

fn explain(error: BackendError) -> BackendError {
    if error.kind() != BackendErrorKind::PermissionDenied {
        return error;
    }
    let message = format!("{error}; have the database's owner run leasehold-postgres/src/layout.sql");
    BackendError::new(BackendErrorKind::PermissionDenied, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_guides() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../leasehold-testkit/src/guide/layout.sql");
        assert!(std::fs::read_to_string(guide).unwrap() == LAYOUT, "src/layout.sql and {guide} differ");
    }

    #[test]
    fn the_layout_can_be_quoted() {
        assert!(!LAYOUT.contains("$layout$") && !LAYOUT.contains("$making$"));
        assert!(LAYOUT.contains(&format!("INSERT INTO leasehold.layout VALUES ({VERSION});")));
    }
}
