//! PostgreSQL as a [`World`]: a server of its own behind a proxy, and an administrator's connection to it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};
use leasehold_postgres::{PostgresBackend, PostgresConfig};
use leasehold_testkit::contract::World;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{Place, Program, ProgramServer, ServerOptions, StartError, find_program};
use tokio_postgres::{NoTls, types::ToSql};

#[derive(Debug)]
pub(crate) struct Postgres;

/// Debian keeps the programs of each version out of `PATH`.
fn postgres_program() -> Result<PathBuf, StartError> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        versions.map(|version| version.path().join("bin/postgres")).filter(|path| path.is_file()).max();
    let usual = newest.unwrap_or_else(|| "postgres".into());
    find_program("PostgreSQL", "postgresql", "LEASEHOLD_POSTGRES_BIN", &usual.to_string_lossy())
}

/// It refuses to run as root.
fn as_postgres(program: PathBuf) -> Command {
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Makes a data directory: the first one by `initdb`, which takes a second or more, the others as copies of what that made, which is kept with what
/// cargo builds.
fn make_data(place: &Place, program: &Path) -> Result<(), StartError> {
    static MADE: Mutex<()> = Mutex::new(());
    let _alone = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let version: String = program.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("data-of-{version}"));
    if !kept.exists() {
        let mut owned = as_postgres("true".into());
        let owner: &[&str] = if owned.get_program() == "setpriv" { &["-o", "postgres"] } else { &[] };
        place.prepare(Command::new("install").args(["-d", "-m", "700"]).args(owner).arg(place.data_dir()))?;
        place.prepare(&mut owned)?;
        let mut initdb = as_postgres(program.with_file_name("initdb"));
        initdb.args(["--no-sync", "--wal-segsize=1", "-A", "trust", "-U", "leasehold", "-D"]);
        place.prepare(initdb.arg(place.data_dir()))?;
        let making = kept.with_extension(std::process::id().to_string());
        place.prepare(Command::new("cp").arg("-a").arg(place.data_dir()).arg(&making))?;
        // Another process may have been as quick; its copy is as good.
        return place.prepare(Command::new("mv").arg("-T").arg(&making).arg(&kept)).or_else(|error| {
            place.prepare(Command::new("rm").arg("-r").arg(making))?;
            if kept.exists() { Ok(()) } else { Err(error) }
        });
    }
    place.prepare(Command::new("cp").arg("-a").arg(kept).arg(place.data_dir()))
}

impl Program for Postgres {
    const NAME: &'static str = "postgres";

    /// Of a killed postmaster the children run on for a while, and keep the next one from starting; at this it ends all of them at
    /// once, without writing anything more.
    const STOP: &'static str = "QUIT";

    fn command(place: &Place) -> Result<Command, StartError> {
        let program = postgres_program()?;
        make_data(place, &program)?;
        let mut command = as_postgres(program);
        command.arg("-D").arg(place.data_dir()).args(["-k", "", "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-p", &place.port().to_string()]);
        // Cases with hundreds of sessions, and machines with little memory.
        command.args(["-c", "max_connections=500", "-c", "shared_buffers=16MB"]);
        Ok(command)
    }

    async fn serves(endpoint: &str) -> bool {
        client(endpoint).await.is_ok()
    }
}

pub(crate) async fn client(endpoint: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (host, port) = endpoint.split_once(':').expect("host:port");
    let config = format!("host={host} port={port} user=leasehold dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The backend over one server, which need not be there yet.
pub(crate) fn connect(endpoint: &str) -> Arc<dyn LockBackend> {
    let config = PostgresConfig::new([endpoint]).user("leasehold", "").database("postgres");
    Arc::new(PostgresBackend::new(config).expect("a sound configuration"))
}

struct PostgresWorld {
    server: ProgramServer<Postgres>,
    proxy: Proxy,
}

pub(crate) async fn postgres() -> Arc<dyn World> {
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    // So that the witness finds its tables before the first session is opened.
    let admin = client(&server.endpoint()).await.expect("it serves");
    admin.batch_execute(include_str!("../../src/layout.sql")).await.expect("the layout is made");
    Arc::new(PostgresWorld { server, proxy })
}

impl PostgresWorld {
    /// What an administrator says, behind the backend's back.
    async fn say(&self, statement: &str, with: &[&(dyn ToSql + Sync)]) -> Vec<tokio_postgres::Row> {
        let admin = client(&self.server.endpoint()).await.expect("the server serves");
        admin.query(statement, with).await.unwrap_or_else(|error| panic!("{statement}: {error}"))
    }
}

#[async_trait]
impl World for PostgresWorld {
    fn service(&self) -> &'static str {
        "postgres"
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        connect(&self.proxy.endpoint())
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        connect(&self.server.endpoint())
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }

    /// Its time is up; burying it is the backend's task, as ever.
    async fn expire_session(&self, id: &str) {
        self.say("UPDATE leasehold.sessions SET expires_at = clock_timestamp() WHERE id = $1", &[&id]).await;
    }

    async fn remove_queue(&self, path: &KeyPath) {
        for table in ["entries", "tombstones"] {
            self.say(&format!("DELETE FROM leasehold.{table} WHERE queue = $1"), &[&path.as_str()]).await;
        }
    }

    /// The tables take nothing that is not of their form; what they take is a queue *below* the path, of a stranger, and what
    /// anybody may tell the channel.
    async fn plant_foreign(&self, path: &KeyPath) {
        self.say(
            "INSERT INTO leasehold.sessions VALUES ('stranger', '', '', '', '1 s', now() + '1 day') ON CONFLICT DO NOTHING",
            &[],
        )
        .await;
        let below = format!("{}/below", path.as_str());
        self.say(
            "INSERT INTO leasehold.entries VALUES ($1, repeat('e', 32), 1, 1, 'stranger', 'x', '') ON CONFLICT DO NOTHING",
            &[&below],
        )
        .await;
        for payload in
            ["", "hello", "- 1 2", "+ x", "- 99999999999999999999 00000000000000000000000000000001", "\u{7f}"]
        {
            self.say("SELECT pg_notify(leasehold.channel($1), $2)", &[&path.as_str(), &payload]).await;
        }
    }

    /// An entry is `<path>/<attempt>`, a tombstone has a `!`, a register is its path; a prefix is no pattern. What belongs to a session
    /// whose time is up stands for nothing, and is there until somebody comes by, whom a test does not always have.
    async fn listing(&self, prefix: &str) -> Vec<String> {
        let everything = "WITH living AS (SELECT id FROM leasehold.sessions
                WHERE expires_at > clock_timestamp() AND id <> 'stranger')
            SELECT line FROM (
                SELECT queue || '/' || attempt AS line FROM leasehold.entries JOIN living ON id = session
                UNION ALL SELECT queue || '/!' || attempt FROM leasehold.tombstones JOIN living ON id = session
                UNION ALL SELECT path FROM leasehold.registers
            ) AS lines WHERE starts_with(line, $1)";
        self.say(everything, &[&prefix]).await.iter().map(|row| row.get(0)).collect()
    }

    async fn cut(&self) {
        self.proxy.cut();
    }

    async fn heal(&self) {
        self.proxy.heal();
    }

    /// Whoever connects anew hears as little.
    async fn cut_replies(&self) {
        self.proxy.cut_after_reply_bytes(0);
        self.proxy.drop_replies();
    }

    async fn restart(&self) {
        self.server.kill().await;
        self.server.restart().await;
    }

    /// There is no history: after a gap in the notifications the present state is loaded.
    async fn compact(&self) {}
}
